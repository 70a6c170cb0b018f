"""`kgp audit`: what is wrong, or apt to mislead, in the graph, an export, a split, pairs and questions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgplatform import plugins
from kgplatform.cli.output import Json, echo, emit_json, format_table, progress

if TYPE_CHECKING:
    from kgplatform.audit import Finding


class FailOn(StrEnum):
    """From which severity on the exit code is 1."""

    info = "info"
    warning = "warning"
    error = "error"
    never = "never"


def audit_command(
    export: Annotated[Path | None, typer.Option(help="Also audit this folder, an export of the graph.")] = None,
    split: Annotated[Path | None, typer.Option(help="Also audit this split of the export, a Parquet file.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Also audit these pairs of images and reports (`kgp pairs`).")
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:DIR",
            help="Also audit a data set's questions, as released; KIND: "
            f"{', '.join(plugins.registered_names('questions'))}.",
        ),
    ] = None,
    question_images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where their images are, if they are not where the release has them."),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="The exit code is 1 when a finding is as bad as this, or worse.")
    ] = FailOn.error,
    as_json: Json = False,
) -> None:
    """Look for what is wrong or misleads: conflicts, leaking splits, id collisions, outdated scores."""
    from dataclasses import asdict

    from kgplatform.audit_sources import audit_sources, read_sources
    from kgplatform.connect import open_graph

    sources = read_sources(export, split, pairs, questions, question_images, progress=progress)
    with open_graph() as graph:
        checked, findings = audit_sources(graph, sources)
    if as_json:
        emit_json({"checked": [asdict(entry) for entry in checked], "findings": [asdict(entry) for entry in findings]})
    else:
        for entry in checked:
            echo(f"checked {entry}")
        _print(findings)
    if fail_on is not FailOn.never and any(finding.severity.reaches(fail_on) for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    if not findings:
        echo("nothing was found")
        return
    columns = ["severity", "id", "count", "of", "title"]
    echo(format_table([{column: getattr(finding, column) for column in columns} for finding in findings], columns))
    for finding in findings:
        echo(f"\n{finding.id}  {finding.what_to_do}")
        if finding.examples:
            echo(f"          For example: {'; '.join(finding.examples)}")
