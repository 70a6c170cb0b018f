"""Comparisons made by hand, without judges."""

from __future__ import annotations

from kgplatform.construct.comparison import (
    ComparedConcept,
    ComparedJudge,
    ComparedReport,
    Comparison,
    Stances,
    agreement,
)
from kgplatform.construct.judgement import Tagged
from kgplatform.construct.report import Report
from kgplatform.construct.tagger import Candidate, Mention
from kgplatform.schema import Stance

POSITIVE, NEGATIVE, UNCERTAIN = (frozenset({stance}) for stance in Stance)
NOTHING: Stances = frozenset()
EFFUSION, PNEUMONIA, NODULE, LUNG = "C9900001", "C9900002", "C9900003", "C9900004"
NAMES = {EFFUSION: "effusion", PNEUMONIA: "pneumonia", NODULE: "nodule", LUNG: "lung"}


def compared(
    number: int, text: str, decisions: dict[str, tuple[Stances | None, ...]], names: dict[str, str] | None = None
) -> ComparedReport:
    """A report whose concepts are mentioned where their names are."""
    concept_names = names or NAMES
    mentions = tuple(
        Mention(
            text.index(concept_names[cui]),
            text.index(concept_names[cui]) + len(concept_names[cui]),
            (Candidate(cui, concept_names[cui], 1.0),),
        )
        for cui in decisions
    )
    concepts = tuple(ComparedConcept(cui, concept_names[cui], values) for cui, values in decisions.items())
    has_answer = tuple(decision is not None for decision in next(iter(decisions.values())))
    report = Report(f"study {number}", f"I{number}", {"findings": text})
    return ComparedReport(report, (Tagged("findings", text, mentions),), concepts, has_answer)


def comparison(*reports: ComparedReport, judge_names: tuple[str, ...] = ("rules", "first", "second")) -> Comparison:
    """The comparison of these reports."""
    judges = tuple(ComparedJudge(name, f"{name} 1", "" if name == "rules" else "127.0.0.1:1") for name in judge_names)
    agreements = tuple(
        agreement(reports, first, second) for first in range(len(judges)) for second in range(first + 1, len(judges))
    )
    return Comparison("reports", judges, reports, agreements, {}, (), has_all=True)


THREE_REPORTS = (
    compared(
        1,
        "effusion, pneumonia, nodule, lung",
        {
            EFFUSION: (POSITIVE, POSITIVE, POSITIVE),
            PNEUMONIA: (NEGATIVE, POSITIVE, NEGATIVE),
            NODULE: (UNCERTAIN, UNCERTAIN | NEGATIVE, NOTHING),
            LUNG: (NOTHING, NOTHING, NOTHING),
        },
    ),
    compared(2, "effusion, nodule", {EFFUSION: (NEGATIVE, None, NEGATIVE), NODULE: (NOTHING, None, POSITIVE)}),
    compared(3, "pneumonia", {PNEUMONIA: (UNCERTAIN, UNCERTAIN, UNCERTAIN)}),
)
