"""`kgp train`: models trained on an export of the graph, and generators of triplets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from kgplatform import plugins
from kgplatform.cli.output import Json, echo, emit_json, note, progress, table

WORK = "work"  # in a model's folder: where its training is

Epochs = Annotated[
    int | None,
    typer.Option(
        min=1, help="At most so many epochs in each part of the training, for a first try [default: the settings']."
    ),
]

app = typer.Typer(no_args_is_help=True, help="Train models.")


@app.callback()
def train() -> None:
    """Train models: of links on an export of the graph, of triplets on studies."""


def _writes_to_out(command: Callable[..., None]) -> Callable[..., None]:
    """A training whose folder is named where the disk is full, regardless of which library writes."""

    @wraps(command)
    def run(**options: Any) -> None:
        from kgplatform.staging import on_disk

        with on_disk(options["out"]):
            command(**options)

    return run


@app.command()
@_writes_to_out
def links(
    settings: Annotated[
        Path,
        typer.Argument(
            metavar="SETTINGS",
            help="A YAML file, such as benchmarks/settings/link_prediction/…. "
            f"Its model is one of {', '.join(plugins.names('models'))}.",
        ),
    ],
    export: Annotated[Path, typer.Option(help="The folder of a `kgp export`.")],
    split: Annotated[Path, typer.Option(help="A split of that export (`kgp split`).")],
    out: Annotated[
        Path,
        typer.Option(
            help="The folder for the trained model. A training there goes on; a finished one is not done again."
        ),
    ],
    seed: Annotated[int, typer.Option(min=0, help="The seed of the initial values and of the order.")] = 42,
    epochs: Epochs = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Also log loss and validation rank to this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Train a link-prediction model, stopped by its filtered validation rank, and rank the test part."""
    from kgplatform import training_folder
    from kgplatform.cli.ml import needed
    from kgplatform.export.splits import Split
    from kgplatform.export.triples import Triples

    with needed():
        from kgp_models.link_prediction.evaluate import Known, evaluate
        from kgp_models.link_prediction.settings import TrainingSettings
        from kgp_models.link_prediction.train import train as train_links
        from kgp_models.short import at_most

    training_settings = at_most(TrainingSettings.read(settings), epochs)
    split_parts = Split.read(split, Triples.read(export))
    training_folder.take(out, "kgp train links")
    trained = train_links(
        training_settings,
        split_parts,
        seed=seed,
        folder=out,
        tensorboard=tensorboard,
        progress=progress("epochs"),
        log=note,
    )
    note(f"{trained.epochs} epochs in {trained.seconds:.0f} s; the best was {trained.best_epoch}")
    triples = split_parts.triples
    known_triples = Known(triples.ids, triples.num_entities, triples.num_relations)
    metrics = evaluate(trained.scorer, split_parts.test, known_triples, progress=progress("ranked")).metrics()
    if as_json:
        test_metrics = {task: task_metrics.as_dict() for task, task_metrics in metrics.items()}
        emit_json({"model": str(out), "epochs": trained.epochs, "best_epoch": trained.best_epoch, "test": test_metrics})
        return
    echo(f"{training_settings.model} is in {out}; filtered realistic ranks of the test part:\n")
    echo(table([{"task": task, **task_metrics.as_dict()} for task, task_metrics in metrics.items()]))


class Stage(StrEnum):
    """A part of a generator's training."""

    vision = "vision"
    language = "1"
    visual = "2"


@app.command()
@_writes_to_out
def generator(
    config: Annotated[
        Path, typer.Option(metavar="YAML", help="Settings, such as benchmarks/settings/generator/small.yaml.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the generator. A training there goes on.")],
    stage: Annotated[
        list[Stage] | None,
        typer.Option(help="1: the language model on reports (LLM-KG); 2: with images (VLM-KG) [default: both]."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder of studies, in place of the settings' data.path.")
    ] = None,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Train a generator of triplets (VLM-KG paper): the language model on reports, then with images."""
    from kgplatform import training_folder
    from kgplatform.cli.ml import needed
    from kgplatform.files import read_json

    with needed("generate", "accelerate", "datasets", "trl"):
        from kgp_models.generator.checkpoint import ABOUT
        from kgp_models.generator.settings import GeneratorSettings
        from kgp_models.generator.train import Work, meaning
        from kgp_models.generator.train import train as train_generator
        from kgp_models.short import at_most

    settings = at_most(GeneratorSettings.read(config), epochs)
    base_folder = config.parent
    if data is not None:
        settings = replace(settings, data=replace(settings.data, path=str(data.absolute())))
    training_work = Work(settings, out, base_folder, meaning(settings.data, base_folder), note, progress)
    stage_names = [chosen_stage.value for chosen_stage in stage or [Stage.language, Stage.visual]]
    training_folder.take(out, "kgp train generator")
    model_folder = train_generator(training_work, stage_names)
    card_path = model_folder / ABOUT
    figures = read_json(card_path)["figures"] if card_path.is_file() else {}
    if as_json:
        emit_json({"model": str(model_folder), "stages": stage_names, "figures": figures})
        return
    echo(f"{model_folder}: trained; use it: kgp generate --images DIR --model {model_folder}")


@app.command()
@_writes_to_out
def retrieval(
    config: Annotated[
        Path, typer.Option(metavar="YAML", help="Settings, such as those in benchmarks/settings/retrieval/.")
    ],
    pairs: Annotated[Path, typer.Option(help="Pairs of images and reports (`kgp pairs`).")],
    out: Annotated[
        Path, typer.Option(help="The folder for the model. A training there goes on; a finished one is not done again.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="The folder that the paths of the graph's images begin in.",
        ),
    ] = None,
    lexicon: Annotated[
        list[Path] | None,
        typer.Option(help="Find concepts in reports by these names, too: a table, a folder of UMLS; again for more."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of initial values and of the order.")] = 42,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Train a model that finds images by text, with the graph's knowledge (MedMKG §4.2), and test it."""
    from kgplatform import training_folder
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph
    from kgplatform.errors import UsageError
    from kgplatform.retrieval import checks
    from kgplatform.retrieval.graph_studies import graph_images
    from kgplatform.retrieval.knowledge import read_knowledge
    from kgplatform.retrieval.pairs import PairSet

    with needed():
        from kgp_models.retrieval import build, checkpoint
        from kgp_models.retrieval.settings import RetrievalSettings
        from kgp_models.short import at_most

    settings = at_most(RetrievalSettings.read(config), epochs)
    training_folder.check(out, "kgp train retrieval", checkpoint.ABOUT, "kgp embed --model")
    pair_set = PairSet.read(pairs, require_images=True)
    knowledge = None
    if settings.method != "backbone":
        if images is None:
            raise UsageError(f"{settings.method} reads the graph", "Say where its images are: --images DIR.")
        with open_graph() as graph:
            checks.refuse_known(pair_set, graph_images(graph))
            knowledge = read_knowledge(graph)
    inputs = build.Inputs(pair_set.parts, knowledge, images, tuple(lexicon or ()), out / WORK, note, progress)
    training_folder.take(out, "kgp train retrieval")
    model = build.train(settings, inputs, out / WORK, seed, config.parent)
    build.save(model, settings, out, pair_set, knowledge, seed, config.parent)
    if as_json:
        emit_json({"model": str(out), "epochs": model.tuned.epochs, "test": model.figures})
        return
    echo(f"{settings.method} is in {out}, {model.tuned.epochs} epochs; of the test part:\n")
    echo(table([{"": direction.replace("_", " "), **scores.as_dict()} for direction, scores in model.test.items()]))
    echo(f"\nuse it: kgp embed --model {out}")


@app.command()
@_writes_to_out
def vqa(
    config: Annotated[Path, typer.Option(metavar="YAML", help="Settings, such as those in benchmarks/settings/vqa/.")],
    data: Annotated[str, typer.Option(help=f"The data set: {', '.join(plugins.names('questions'))}.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the data set.")],
    out: Annotated[
        Path, typer.Option(help="The folder for the model. A training there goes on; a finished one is not done again.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the questions' images are, if not in the data set's folder."),
    ] = None,
    graph_images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="The folder that the paths of the graph's images begin in.",
        ),
    ] = None,
    lexicon: Annotated[
        list[Path] | None,
        typer.Option(help="Find concepts in questions by these names, too: a table, a folder of UMLS; again for more."),
    ] = None,
    own_words: Annotated[
        bool,
        typer.Option("--own-words/--no-own-words", help="Find concepts by the platform's words for findings, too."),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="The seed of initial values and of the order.")] = 42,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Train a model that answers closed questions about images, with the graph's knowledge (MedMKG §4.3); test it."""
    from dataclasses import replace

    from kgplatform import training_folder
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph
    from kgplatform.errors import UsageError
    from kgplatform.retrieval.knowledge import read_knowledge
    from kgplatform.vqa import checks, questions

    with needed("retrieval"):
        from kgp_models.short import at_most
        from kgp_models.vqa import build, checkpoint
        from kgp_models.vqa.settings import PLAIN, VQASettings

    settings = at_most(VQASettings.read(config), epochs)
    if settings.graph != "full":
        raise UsageError(f"graph: {settings.graph} is a control", "benchmarks/vqa.py trains controls. Leave it out.")
    training_folder.check(out, "kgp train vqa", checkpoint.ABOUT, "kgp ask --model")
    all_questions, rejects = questions.read(data, folder, images, progress=progress("questions"), log=note)
    if rejects:
        note(questions.left_out(rejects))
    if difference_note := questions.unlike_release(data, all_questions):
        note(difference_note)
    question_set = questions.official(all_questions)
    with open_graph() as graph:
        knowledge = read_knowledge(graph)
    checks.refuse_known(question_set, knowledge.images, graph_images)
    work_folder = out / WORK
    inputs = build.Inputs(
        question_set, knowledge, graph_images, tuple(lexicon or ()), own_words, work_folder / "features", note, progress
    )
    kind, colon, backbone_path = settings.backbone.partition(":")
    backbone_spec = f"{kind}:{config.parent / backbone_path}" if colon else kind
    training_folder.take(out, "kgp train vqa")
    features = build.seen(build.opened(backbone_spec), question_set.questions, inputs)
    base_model = build.fit(replace(settings, method="base"), inputs, features, work_folder / "base", seed)
    model = build.fit(settings, inputs, features, work_folder / "method", seed)
    figures = {"base model": base_model.test.as_dict()}
    if settings.method != "base":
        figures[settings.method] = model.test.as_dict()
    if settings.method not in PLAIN:
        figures["as kgp ask answers"] = model.with_base(base_model).as_dict()
    checkpoint.save(
        out,
        model,
        base_model,
        settings,
        inputs=inputs,
        towers=features.backbone,
        backbone=backbone_spec,
        data={
            "questions": f"{data}, {question_set.protocol}, sha256 {question_set.sha256}",
            "graph": f"sha256 {knowledge.sha256}",
            "seed": str(seed),
        },
        figures={
            f"test {figure_name}, {model_label}": round(model_figures[figure_name], 4)
            for model_label, model_figures in figures.items()
            for figure_name in model_figures
        },
    )
    if as_json:
        emit_json({"model": str(out), "epochs": model.trained.epochs, "test": figures})
        return
    echo(f"{settings.method} is in {out}, {model.trained.epochs} epochs; of the test part:\n")
    echo(table([{"": model_label, **model_figures} for model_label, model_figures in figures.items()]))
    echo(f'\nuse it: kgp ask IMAGE "QUESTION" --model {out}')
