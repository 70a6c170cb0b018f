"""`kgp train`: models trained on an export of the graph, and generators of triplets."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgplatform import plugins
from kgplatform.cli.output import Json, echo, emit_json, format_table, progress
from kgplatform.cli.vqa import GRAPH_IMAGES, GraphImages
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgp_models.library.result import TrainedModel

Epochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="At most this many epochs in each part of the training, for a first try [default: the settings'].",
    ),
]

QuestionImages = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where the questions' images are, if not in the data set's folder.")
]

Splits = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Split as a file says: a table of study and split, or annotation.json.",
    ),
]
EveryImage = Annotated[
    bool,
    typer.Option(
        "--every-image",
        help="Also train on the other images of the graph's studies, as lateral ones; --images is then a data set.",
    ),
]

app = typer.Typer(no_args_is_help=True, help="Train models.")


@app.callback()
def _train() -> None:
    """Train models: of links on an export of the graph, of triplets on studies."""


@app.command("links")
def train_links_command(
    settings: Annotated[
        Path,
        typer.Argument(
            metavar="SETTINGS",
            help="A YAML file, such as benchmarks/link_prediction/settings/…. "
            f"Its model is one of {', '.join(plugins.registered_names('models'))}.",
        ),
    ],
    export: Annotated[Path, typer.Option(help="The folder of a `kgp export`.")],
    split: Annotated[Path, typer.Option(help="A split of that export (`kgp split`).")],
    out: Annotated[
        Path, typer.Option(help="The model folder. An unfinished training continues; a finished one is not repeated.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="The seed of the initial values and of the order.")] = 42,
    epochs: Epochs = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Also log loss and validation rank to this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Train a link-prediction model, stopped by its filtered validation rank, and rank the test part."""
    from kgplatform.cli.ml import needed

    with needed():
        from kgp_models.library.links import train_links
    trained = train_links(
        settings, export, split, out, seed=seed, epochs=epochs, tensorboard=tensorboard, progress=progress
    )
    if as_json:
        document = {"epochs": trained.epochs, "best_epoch": trained.best_epoch, "test": trained.test}
        emit_json({"model": str(out), **document})
        return
    echo(f"{trained.name} is in {out}; filtered realistic ranks of the test part:\n")
    echo(format_table([{"task": task, **task_figures} for task, task_figures in trained.test.items()]))


class Stage(StrEnum):
    """A part of a generator's training."""

    vision = "vision"
    language = "1"
    visual = "2"


@app.command()
def generator(
    config: Annotated[
        Path, typer.Option(metavar="YAML", help="Settings, such as benchmarks/generation/settings/small.yaml.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the generator. An unfinished training there continues.")],
    stage: Annotated[
        list[Stage] | None,
        typer.Option(help="1: the language model on reports (LLM-KG); 2: with images (VLM-KG) [default: both]."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder of studies, instead of data.path in the settings.")
    ] = None,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Train a generator of triplets (VLM-KG paper): the language model on reports, then with images."""
    from kgplatform.cli.ml import needed

    with needed("generate", "accelerate", "datasets", "trl"):
        from kgp_models.library.generator import train_generator
    stages = [chosen_stage.value for chosen_stage in stage or [Stage.language, Stage.visual]]
    trained = train_generator(config, out, stages, data=data, epochs=epochs, progress=progress)
    if as_json:
        emit_json({"model": str(trained.folder), "stages": stages, "figures": trained.test["test"]})
        return
    echo(f"{trained.folder}: trained; use it: kgp generate --images DIR --model {trained.folder}")


@app.command()
def retrieval(
    config: Annotated[
        Path, typer.Option(metavar="YAML", help="Settings, such as those in benchmarks/retrieval/settings/.")
    ],
    pairs: Annotated[Path, typer.Option(help="Pairs of images and reports (`kgp pairs`).")],
    out: Annotated[
        Path, typer.Option(help="The model folder. An unfinished training continues; a finished one is not repeated.")
    ],
    images: GraphImages = None,
    lexicon: Annotated[
        list[Path] | None,
        typer.Option(help="Also find concepts by these names: a table, a folder of UMLS; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of initial values and of the order.")] = 42,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Train a model that finds images by text, with the graph's knowledge (MedMKG §4.2), and test it."""
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph

    with needed():
        from kgp_models.library.retrieval import train_retrieval
        from kgp_models.retrieval.settings import RetrievalSettings
    reads_graph = RetrievalSettings.read(config).method != "backbone" and images is not None
    with open_graph() if reads_graph else nullcontext() as graph:
        trained = train_retrieval(
            config,
            pairs,
            out,
            graph,
            images=images,
            lexicon=lexicon or (),
            seed=seed,
            epochs=epochs,
            progress=progress,
        )
    _report(trained, f"kgp embed --model {out}", as_json)


@app.command("images")
def train_images_command(
    config: Annotated[
        Path, typer.Option(metavar="YAML", help="Settings, such as benchmarks/images/settings/offline.yaml.")
    ],
    images: Annotated[Path, GRAPH_IMAGES],
    out: Annotated[
        Path, typer.Option(help="The model folder. An unfinished training continues; a finished one is not repeated.")
    ],
    splits: Splits = None,
    every_image: EveryImage = False,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the split, initial values and the order.")] = 42,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Train an image encoder on the concepts and stances of the graph's images, split by patient, and test it.

    Its vectors serve as a backbone (images:FOLDER) of retrieval, VQA and search, and as --vision of a generator.
    """
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph

    with needed("retrieval"):
        from kgp_models.library.images import AUC_BY_LINK, train_images
    with open_graph() as graph:
        trained = train_images(
            config,
            images,
            out,
            graph,
            splits=splits,
            every_image=every_image,
            seed=seed,
            epochs=epochs,
            progress=progress,
        )
    _report(trained, f"kgp predict image FILE --model {out}", as_json)
    if not as_json:
        echo(f"AUC of each finding, with its interval: {out / AUC_BY_LINK}")


@app.command()
def vqa(
    config: Annotated[Path, typer.Option(metavar="YAML", help="Settings, such as those in benchmarks/vqa/settings/.")],
    data: Annotated[str, typer.Option(help=f"The data set: {', '.join(plugins.registered_names('questions'))}.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the data set.")],
    out: Annotated[
        Path, typer.Option(help="The model folder. An unfinished training continues; a finished one is not repeated.")
    ],
    images: QuestionImages = None,
    graph_images: GraphImages = None,
    lexicon: Annotated[
        list[Path] | None,
        typer.Option(help="Also find concepts by these names: a table, a folder of UMLS; may be repeated."),
    ] = None,
    own_words: Annotated[
        bool,
        typer.Option("--own-words/--no-own-words", help="Also find concepts by the package's own terms."),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="The seed of initial values and of the order.")] = 42,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Train a model that answers closed questions about images, with the graph's knowledge (MedMKG §4.3); test it."""
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph

    with needed("retrieval"):
        from kgp_models.library.vqa import train_vqa
    with open_graph() as graph:
        trained = train_vqa(
            config,
            data,
            folder,
            out,
            graph,
            images=images,
            graph_images=graph_images,
            lexicon=lexicon or (),
            own_words=own_words,
            seed=seed,
            epochs=epochs,
            progress=progress,
        )
    _report(trained, f'kgp ask IMAGE "QUESTION" --model {out}', as_json)


def _report(trained: TrainedModel, use: str, as_json: bool) -> None:
    """Print a training's figures of the test part, and the command that uses the model."""
    if as_json:
        emit_json({"model": str(trained.folder), "epochs": trained.epochs, "test": trained.test, **trained.details})
        return
    echo(f"{trained.name} is in {trained.folder}, {counted(trained.epochs, 'epochs')}; of the test part:\n")
    echo(format_table([{"": name.replace("_", " "), **figures} for name, figures in trained.test.items()]))
    echo(f"\nuse it: {use}")
