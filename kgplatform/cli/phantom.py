"""`kgp phantom`: synthetic data for those who have none."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, note, progress
from kgplatform.wording import counted

Replace = Annotated[bool, typer.Option("--replace", help="Replace what this command wrote into the folder earlier.")]

app = typer.Typer(no_args_is_help=True, help="Write synthetic data: studies, or a graph in MedMKG's form.")


@app.callback()
def _phantom() -> None:
    """Write synthetic data: studies, or a graph in MedMKG's form."""


@app.command("build")
def build_command(
    directory: Annotated[Path, typer.Argument(help="Folder for the data set; created if it does not exist.")],
    studies: Annotated[
        int | None,
        typer.Option(
            help="This many studies: images, reports, an ontology and the truth, in the layout of MIMIC-CXR-JPG."
        ),
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="Only a graph, in MedMKG's form, with this many images [default: 500].")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same size and seed give the same files.")] = 7,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw the images of studies.")] = 1,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Write synthetic studies (--studies, for `kgp construct run`) or a synthetic graph (for `kgp ingest medmkg`)."""
    from kgplatform.errors import UsageError

    if studies is not None and images is not None:
        raise UsageError("--studies and --images exclude each other", "Build each into a separate folder.")
    if studies is None:
        _graph(directory, 500 if images is None else images, seed, replace, as_json)
    else:
        _studies(directory, studies, seed, workers, replace, as_json)


def _studies(directory: Path, count: int, seed: int, workers: int, replace: bool, as_json: bool) -> None:
    from kgp_loaders.phantom.study_set import build_study_set

    build_report = build_study_set(
        directory, count, seed, replace=replace, workers=workers, progress=progress("studies")
    )
    if as_json:
        emit_json(asdict(build_report))
        return
    if build_report.existing:
        note(f"{build_report.directory} already contains this data set; nothing was written")
    echo(
        f"{build_report.directory}: {counted(build_report.studies, 'studies')} with "
        f"{counted(build_report.images, 'images')}, "
        f"{counted(build_report.concepts, 'concepts')}, "
        f"{counted(build_report.edges, 'stances')} of AP images in the truth; all synthetic"
    )
    echo(f"build the graph from it: kgp construct run {build_report.directory}")


def _graph(directory: Path, images: int, seed: int, replace: bool, as_json: bool) -> None:
    from kgp_loaders.phantom.graph import build_phantom_graph

    build_report = build_phantom_graph(directory, images, seed, replace=replace)
    if as_json:
        emit_json(asdict(build_report))
        return
    if build_report.existing:
        note(f"{build_report.directory} already contains this data set; nothing was written")
    echo(
        f"{build_report.directory}: {counted(build_report.images, 'images')} and "
        f"{counted(build_report.concepts, 'concepts')}, "
        f"{counted(build_report.cross_edges, 'edges')} between them, {build_report.intra_edges:,} among the concepts, "
        f"{counted(build_report.mapped_images, 'mapped images')}; all synthetic"
    )
    echo(f"load it: kgp ingest medmkg {build_report.directory}")


@app.command("questions")
def questions_command(
    studies: Annotated[Path, typer.Argument(help="Synthetic studies with images, from `kgp phantom build --studies`.")],
    directory: Annotated[Path, typer.Argument(help="Folder for the questions; created if it does not exist.")],
    count: Annotated[
        int,
        typer.Option(
            min=100, help="The approximate number of questions, split 8:1:1 into training, validation and test."
        ),
    ] = 12_000,
    seed: Annotated[int, typer.Option(help="The same studies, number and seed give the same files.")] = 7,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Write questions about synthetic studies that need the image, the ontology, or both, and the facts they need."""
    from kgp_loaders.phantom.question_set import KNOWLEDGE, build_question_set

    build_report = build_question_set(studies, directory, count, seed, replace=replace)
    if as_json:
        emit_json(asdict(build_report))
        return
    if build_report.existing:
        note(f"{build_report.directory} already contains this data set; nothing was written")
    for part_name, counts in build_report.counts.items():
        needs_text = ", ".join(f"{question_count:,} need {need_kind}" for need_kind, question_count in counts.items())
        echo(f"{part_name}: {counted(sum(counts.values()), 'questions')}; {needs_text}")
    echo(f"{counted(build_report.triples, 'facts')} about {counted(build_report.remedies, 'remedies')}, all synthetic")
    echo(f"load them: kgp ingest triples {directory / KNOWLEDGE}")
