"""The same reports judged by the rules and by language models, and how far these judges agree.

A judge decides about each candidate concept of a report (MedMKG appendix F.3): it gives a stance to it, several, or
none. The candidates come from the tagger, so they are the same for all judges. A report that a model did not answer
counts for none of its decisions: `kgp construct run` would leave it to the rules, which would then agree with
themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kgplatform.assess.agreement import cohen_kappa
from kgplatform.batches import Reject
from kgplatform.construct.annotate import Annotation, can_be_edge
from kgplatform.construct.judgement import Tagged
from kgplatform.construct.report import Report
from kgplatform.construct.tagger import Candidate
from kgplatform.schema import Stance

if TYPE_CHECKING:
    from kgplatform.construct.language_model.judge import Usage

NOT_MENTIONED: Final = "not mentioned"
NO_ANSWER: Final = "no answer"

Stances: TypeAlias = frozenset[Stance]  # of a concept in a report; empty where the judge does not mention it


def stance_label(stances: Stances | None) -> str:
    """A judge's decision in words; None is a report without an answer."""
    if stances is None:
        return NO_ANSWER
    return " and ".join(stance.value for stance in Stance if stance in stances) or NOT_MENTIONED


@dataclass(frozen=True)
class ComparedJudge:
    """Who decides: the rules or a model. `version` is what edges state of it; `usage` is a model's."""

    name: str
    version: str
    endpoint: str = ""  # the model's host and port
    usage: Usage | None = None


@dataclass(frozen=True)
class ComparedConcept:
    """A candidate of a report, with each judge's stances to it, None where the model did not answer."""

    cui: str
    name: str
    decisions: tuple[Stances | None, ...]

    @property
    def is_mentioned(self) -> bool:
        """Whether a judge gives a stance to it."""
        return any(self.decisions)

    @property
    def is_disputed(self) -> bool:
        """Whether two judges decide differently."""
        return len({decision for decision in self.decisions if decision is not None}) > 1


@dataclass(frozen=True)
class ComparedReport:
    """A report with its candidates in the order of the text, and for each judge whether it answered."""

    report: Report
    sections: tuple[Tagged, ...]
    candidates: tuple[ComparedConcept, ...]
    has_answer: tuple[bool, ...]

    @property
    def concepts(self) -> tuple[ComparedConcept, ...]:
        """The candidates that a judge mentions."""
        return tuple(candidate for candidate in self.candidates if candidate.is_mentioned)


@dataclass(frozen=True)
class Agreement:
    """How far two judges agree on the reports that both answered.

    `mentioned` candidates have a stance by at least one of the two, and `equal` of these the same by both. `kappa` is
    Cohen's over all `candidates`, with "not mentioned" as a category; None where it is undefined. `differences` counts
    the other decisions by what the first and the second judge say, most frequent first: they add up to `mentioned` -
    `equal`.
    """

    first: int
    second: int
    reports: int
    candidates: int
    mentioned: int
    equal: int
    kappa: float | None
    differences: Mapping[tuple[str, str], int]

    @property
    def share(self) -> float | None:
        """Equal decisions of those on mentioned concepts; None without any."""
        return self.equal / self.mentioned if self.mentioned else None


@dataclass(frozen=True)
class Comparison:
    """Reports with the decisions of all judges. `has_all` says whether there were no further reports."""

    kind: str
    judges: tuple[ComparedJudge, ...]
    reports: tuple[ComparedReport, ...]
    agreements: tuple[Agreement, ...]
    left_out: Mapping[str, int]
    rejects: tuple[Reject, ...]
    has_all: bool

    @property
    def concepts(self) -> int:
        """How many concepts of reports a judge mentions."""
        return sum(len(compared.concepts) for compared in self.reports)

    @property
    def disputed(self) -> int:
        """On how many of these two judges decide differently."""
        return sum(concept.is_disputed for compared in self.reports for concept in compared.concepts)

    def unanswered(self, judge_index: int) -> int:
        """How many reports this judge did not answer."""
        return sum(not compared.has_answer[judge_index] for compared in self.reports)

    def stance_counts(self, judge_index: int) -> Mapping[Stance, int]:
        """How often this judge gives each stance."""
        stance_counter = Counter(
            stance
            for compared in self.reports
            for concept in compared.concepts
            for stance in concept.decisions[judge_index] or ()
        )
        return {stance: stance_counter[stance] for stance in Stance}

    def as_json(self) -> dict[str, Any]:
        """Everything but the text of the reports."""
        return {
            "kind": self.kind,
            "reports": len(self.reports),
            "all_reports": self.has_all,
            "left_out": dict(self.left_out),
            "concepts": self.concepts,
            "disputed": self.disputed,
            "judges": [self._judge_json(judge_index) for judge_index in range(len(self.judges))],
            "agreement": [self._agreement_json(agreement) for agreement in self.agreements],
            "decisions": [_report_json(compared) for compared in self.reports],
        }

    def _judge_json(self, judge_index: int) -> dict[str, Any]:
        judge = self.judges[judge_index]
        return {
            "name": judge.name,
            "version": judge.version,
            "endpoint": judge.endpoint,
            "unanswered": self.unanswered(judge_index),
            "stances": {stance.value: count for stance, count in self.stance_counts(judge_index).items()},
            "language_model": None if judge.usage is None else judge.usage.as_json(),
        }

    def _agreement_json(self, agreement: Agreement) -> dict[str, Any]:
        return {
            "judges": [self.judges[agreement.first].name, self.judges[agreement.second].name],
            "reports": agreement.reports,
            "candidates": agreement.candidates,
            "mentioned": agreement.mentioned,
            "equal": agreement.equal,
            "share": agreement.share,
            "kappa": agreement.kappa,
            "differences": [
                {"decisions": list(labels), "count": count} for labels, count in agreement.differences.items()
            ],
        }


def _report_json(compared: ComparedReport) -> dict[str, Any]:
    concepts = [
        {
            "cui": concept.cui,
            "name": concept.name,
            "stances": [None if decision is None else sorted(decision) for decision in concept.decisions],
        }
        for concept in compared.concepts
    ]
    return {"study": compared.report.study, "image": compared.report.image_id, "concepts": concepts}


def compared_report(
    report: Report, sections: tuple[Tagged, ...], annotations: Iterable[Annotation], judge_versions: Sequence[str]
) -> ComparedReport:
    """The report with its candidates and the decisions that annotations by these judges state."""
    candidates = _candidates(sections)
    has_answer: list[bool] = []
    decisions_by_judge: list[Mapping[str, Stances | None]] = []
    for annotation, version in zip(annotations, judge_versions, strict=True):
        has_answer.append(annotation.judge == version)  # else it is the rules', in place of the model's
        stances: dict[str, Stances] = {}
        for concept, relation in annotation.edges:
            if isinstance(relation, Stance):
                stances[concept.cui] = stances.get(concept.cui, frozenset()) | {relation}
        decisions_by_judge.append(
            {cui: stances.get(cui, frozenset()) if has_answer[-1] else None for cui in candidates}
        )
    concepts = tuple(
        ComparedConcept(cui, candidate.name, tuple(decisions[cui] for decisions in decisions_by_judge))
        for cui, candidate in candidates.items()
    )
    return ComparedReport(report, sections, concepts, tuple(has_answer))


def _candidates(sections: Iterable[Tagged]) -> dict[str, Candidate]:
    """The candidates of all mentions by CUI, in the order of the text."""
    candidates: dict[str, Candidate] = {}
    for section in sections:
        for mention in section.mentions:
            for candidate in mention.candidates:
                if can_be_edge(candidate):
                    candidates.setdefault(candidate.cui, candidate)
    return candidates


def agreement(reports: Iterable[ComparedReport], first: int, second: int) -> Agreement:
    """How far the judges of these two indices agree."""
    answered = [compared for compared in reports if compared.has_answer[first] and compared.has_answer[second]]
    decisions = [
        (stance_label(candidate.decisions[first]), stance_label(candidate.decisions[second]))
        for compared in answered
        for candidate in compared.candidates
    ]
    mentioned = [labels for labels in decisions if labels != (NOT_MENTIONED, NOT_MENTIONED)]
    differences = Counter(labels for labels in mentioned if labels[0] != labels[1])
    return Agreement(
        first=first,
        second=second,
        reports=len(answered),
        candidates=len(decisions),
        mentioned=len(mentioned),
        equal=len(mentioned) - differences.total(),
        kappa=cohen_kappa([label for label, _ in decisions], [label for _, label in decisions]),
        differences=dict(sorted(differences.items(), key=lambda difference: (-difference[1], difference[0]))),
    )
