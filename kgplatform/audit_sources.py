"""All that `kgp audit` looks at: files of exports, splits, pairs and questions, and with them the graph."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from kgplatform import audit
from kgplatform.audit import Checked, Finding
from kgplatform.datasets import questions
from kgplatform.datasets.graph_studies import graph_images
from kgplatform.datasets.knowledge import read_images
from kgplatform.datasets.pairs import PairSet
from kgplatform.datasets.question_checks import AuditedQuestions
from kgplatform.datasets.splits import Split
from kgplatform.errors import UsageError
from kgplatform.export.triples import Triples
from kgplatform.graph import Graph
from kgplatform.progress import SubjectProgress, silent_progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AuditSources:
    """What is audited besides the graph; None for what is not."""

    triples: Triples | None = None
    split: Split | None = None
    pairs: PairSet | None = None
    questions: AuditedQuestions | None = None


def read_sources(
    export: Path | None = None,
    split: Path | None = None,
    pairs: Path | None = None,
    question_spec: str | None = None,
    question_images: Path | None = None,
    *,
    progress: SubjectProgress = silent_progress,
) -> AuditSources:
    """Read an export's folder, a split of it, a file of pairs, and a data set's questions (``KIND:FOLDER``, with the
    folder of their images if that is not the release's). Which questions are left out is logged.

    Raises `UsageError` for a split without its export and for questions without a folder, and `InputError` for files
    that are something else.
    """
    if split and not export:
        raise UsageError("--split needs the export that it splits", "Give it with --export DIR.")
    triples = Triples.read(export) if export else None
    split_parts = Split.read(split, triples) if split and triples is not None else None
    audited_questions = read_audited_questions(question_spec, question_images, progress) if question_spec else None
    return AuditSources(triples, split_parts, PairSet.read(pairs) if pairs else None, audited_questions)


def read_audited_questions(spec: str, images: Path | None, progress: SubjectProgress) -> AuditedQuestions:
    """The questions of ``KIND:FOLDER``, in their parts as released. Raises `UsageError` and `InputError`."""
    kind, colon, folder = spec.partition(":")
    if not colon:
        raise UsageError(f"--questions {spec} names no folder", "Write KIND:DIR, such as vqa_rad:DIR.")
    all_questions, rejects = questions.read_questions(kind, Path(folder), images, progress=progress("questions"))
    if rejects:
        logger.warning(questions.left_out(rejects))
    if difference_note := questions.unlike_release(kind, all_questions):
        logger.warning(difference_note)
    return AuditedQuestions(questions.official(all_questions), questions.pictures(all_questions))


def audit_sources(graph: Graph, sources: AuditSources) -> tuple[list[Checked], list[Finding]]:
    """What was looked at, and what was found in it and in the graph, worst first. Raises `KgpError` for an empty
    graph.
    """
    findings: list[Finding] = []
    checked: list[Checked] = []
    if sources.triples is not None:
        findings += audit.audit_export(sources.triples)
        checked.append(audit.checked_export(sources.triples))
    if sources.split is not None:
        findings += audit.audit_split(sources.split)
        checked.append(audit.checked_split(sources.split))
    if sources.questions is not None:
        findings += audit.audit_questions(sources.questions._replace(images=read_images(graph)))
        checked.append(audit.checked_questions(sources.questions))
    if sources.pairs is not None:
        findings += audit.audit_pairs(sources.pairs, graph_images(graph))
        checked.append(audit.checked_pairs(sources.pairs))
    findings = audit.ordered([*findings, *audit.audit(graph)])
    checked.append(audit.checked_graph(graph))
    return checked, findings
