"""`kgp audit`: what is wrong, or apt to mislead, in the graph, an export, a split, pairs and questions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgplatform import plugins
from kgplatform.cli.output import Json, echo, emit_json, format_table, note, progress

if TYPE_CHECKING:
    from kgplatform.audit import Checked, Finding
    from kgplatform.datasets.question_checks import AuditedQuestions


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
        Path | None, typer.Option(help="Also audit these pairs of images and reports, of `kgp pairs`.")
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
        Path | None, typer.Option(metavar="DIR", help="Where their images are, if not where the release has them.")
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="The exit code is 1 when a finding is as bad as this, or worse.")
    ] = FailOn.error,
    as_json: Json = False,
) -> None:
    """Look for what is wrong or misleads: conflicts, leaking splits, id collisions, outdated scores."""
    from dataclasses import asdict

    from kgplatform import audit as checks
    from kgplatform.connect import open_graph
    from kgplatform.datasets.graph_studies import graph_images
    from kgplatform.datasets.knowledge import read_images
    from kgplatform.datasets.pairs import PairSet
    from kgplatform.datasets.splits import Split
    from kgplatform.errors import UsageError
    from kgplatform.export.triples import Triples

    if split and not export:
        raise UsageError("--split needs the export that it splits", "Give it with --export DIR.")
    findings: list[Finding] = []
    checked: list[Checked] = []
    if export:
        triples = Triples.read(export)
        findings += checks.audit_export(triples)
        checked.append(checks.checked_export(triples))
        if split:
            split_parts = Split.read(split, triples)
            findings += checks.audit_split(split_parts)
            checked.append(checks.checked_split(split_parts))
    audited_questions = _questions(questions, question_images) if questions else None
    pair_set = PairSet.read(pairs) if pairs else None
    with open_graph() as graph:
        if audited_questions:
            findings += checks.audit_questions(audited_questions._replace(images=read_images(graph)))
            checked.append(checks.checked_questions(audited_questions))
        if pair_set:
            findings += checks.audit_pairs(pair_set, graph_images(graph))
            checked.append(checks.checked_pairs(pair_set))
        findings = checks.ordered([*findings, *checks.audit(graph)])
        checked.append(checks.checked_graph(graph))
    if as_json:
        emit_json({"checked": [asdict(entry) for entry in checked], "findings": [asdict(entry) for entry in findings]})
    else:
        for entry in checked:
            echo(f"checked {entry}")
        _print(findings)
    if fail_on is not FailOn.never and any(finding.severity.reaches(fail_on) for finding in findings):
        raise typer.Exit(1)


def _questions(spec: str, images: Path | None) -> AuditedQuestions:
    from kgplatform.datasets import questions
    from kgplatform.datasets.question_checks import AuditedQuestions
    from kgplatform.errors import UsageError

    kind, colon, folder = spec.partition(":")
    if not colon:
        raise UsageError(f"--questions {spec} names no folder", "Say KIND:DIR, such as vqa_rad:DIR.")
    all_questions, rejects = questions.read_questions(
        kind, Path(folder), images, progress=progress("questions"), log=note
    )
    if rejects:
        note(questions.left_out(rejects))
    if difference_note := questions.unlike_release(kind, all_questions):
        note(difference_note)
    return AuditedQuestions(questions.official(all_questions), questions.pictures(all_questions))


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
