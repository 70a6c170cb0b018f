"""From a report to what its image shows: the concepts, their stances, and the evidence for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from kgplatform.construct.attribute_table import Attribute, certainty_of
from kgplatform.construct.attribute_values import LEFT, RIGHT, merge_values
from kgplatform.construct.attributes import Described, describe
from kgplatform.construct.judgement import Judge, Judgement, Tagged
from kgplatform.construct.report import SECTIONS, Report
from kgplatform.construct.senses import with_senses
from kgplatform.construct.tagger import Candidate, Mention, Tagger, is_anatomy
from kgplatform.schema import CONCEPT_ID, History, Stance

NO_ATTRIBUTES: Final[Mapping[Attribute, Sequence[Any]]] = MappingProxyType({})

# Section headers of a report; a concept with such a name is not a finding (requirements 6.3).
HEADERS: Final = frozenset(
    {"impression", "findings", "finding", "indication", "comparison", "technique", "history", "examination"}
)


class Conflicts(StrEnum):
    """What becomes of a concept with several stances in one report (requirements 1.1-b)."""

    keep = "keep"  # all of them
    strongest = "strongest"  # POSITIVE before UNCERTAIN before NEGATIVE
    last = "last"  # the last one in the report


class MentionEvidence(NamedTuple):
    """Where a report says it: the phrase and the cue that decided, as characters of a section. `rule` is the rule whose
    cue it is, empty where none decided. `attributes` are what is said of the finding in addition; `alias` is the CUI
    whose name the phrase is, where another concept of the same meaning stands for it.
    """

    section: str
    start: int
    end: int
    cue: tuple[int, int] | None
    candidates: tuple[Candidate, ...]
    rule: str = ""
    attributes: Mapping[Attribute, Sequence[Any]] = NO_ATTRIBUTES
    alias: str = ""

    def _attributes_in_order(self) -> dict[str, Sequence[Any]]:
        return {attribute.value: self.attributes[attribute] for attribute in Attribute if attribute in self.attributes}

    def as_json(self) -> str:
        """One line without any word of the report."""
        return json.dumps(
            {
                "section": self.section,
                "start": self.start,
                "end": self.end,
                "cue": self.cue,
                "rule": self.rule,
                "candidates": [[candidate.cui, round(candidate.score, 3)] for candidate in self.candidates],
                **({"alias": self.alias} if self.alias else {}),
                **({"attributes": in_order} if (in_order := self._attributes_in_order()) else {}),
            }
        )


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a report says of its image: evidence by concept and stance, in the order of the text. `histories` are the
    concepts that the patient, or the family, had.
    """

    report: Report
    edges: Mapping[tuple[Candidate, Stance], Sequence[MentionEvidence]] = field(default_factory=dict)
    judge: str = ""
    histories: Mapping[History, Sequence[Candidate]] = field(default_factory=dict)


def annotate(report: Report, tagger: Tagger, judge: Judge, conflicts: Conflicts = Conflicts.keep) -> Annotation:
    """Find the concepts of a report's findings and impression, and the stance of each."""
    return judged(report, tag(report, tagger), judge, conflicts)


def tag(report: Report, tagger: Tagger) -> list[Tagged]:
    """The sections that describe the image, with the mentions in them (stage I)."""
    section_texts = ((section, report.sections.get(section, "")) for section in SECTIONS)
    return [
        Tagged(section, section_text, with_senses(section_text, tagger.tag(section_text)))
        for section, section_text in section_texts
        if section_text
    ]


@lru_cache(maxsize=100_000)
def can_be_edge(candidate: Candidate) -> bool:
    """Whether a stance to this concept is written: it has a CUI, and its name is not that of a section."""
    return candidate.name.casefold() not in HEADERS and CONCEPT_ID.fullmatch(candidate.cui) is not None


def judged(report: Report, sections: Sequence[Tagged], judge: Judge, conflicts: Conflicts) -> Annotation:
    """The report's edges (stage II)."""
    edges: dict[tuple[str, Stance], tuple[Candidate, list[MentionEvidence]]] = {}
    histories: dict[History, dict[str, Candidate]] = {}
    decide_for_exam = getattr(judge, "decide_for_exam", None)  # of an `ExamJudge`
    verdict = judge.decide(sections) if decide_for_exam is None else decide_for_exam(sections, report.exam)
    values_by_mention = {
        (section, mention.start): values
        for section, section_text, mentions in sections
        for mention, values in zip(mentions, describe(section_text, list(map(_described, mentions))), strict=True)
    }
    for judgement in verdict.judgements:
        section, mention, decision = judgement
        chosen_concept = mention.candidates[decision.chosen]
        if not can_be_edge(chosen_concept):
            continue
        if decision.history is not None:
            histories.setdefault(decision.history, {}).setdefault(chosen_concept.cui, chosen_concept)
        if decision.stance is not None:
            evidence = _evidence(report, judgement, values_by_mention.get((section, mention.start), NO_ATTRIBUTES))
            edges.setdefault((chosen_concept.cui, decision.stance), (chosen_concept, []))[1].append(evidence)
    retained_edges = {
        (chosen_concept, stance): evidence
        for (_, stance), (chosen_concept, evidence) in _without_conflicts(edges, conflicts).items()
    }
    return Annotation(
        report,
        retained_edges,
        verdict.judge,
        {history: tuple(concepts.values()) for history, concepts in histories.items()},
    )


_Edges = Mapping[tuple[str, Stance], tuple[Candidate, list[MentionEvidence]]]


def _evidence(report: Report, judgement: Judgement, values: Mapping[Attribute, Sequence[Any]]) -> MentionEvidence:
    """The evidence of a mention that has a stance."""
    section, mention, decision = judgement
    chosen_concept, cue = mention.candidates[decision.chosen], decision.cue
    if decision.stance is Stance.UNCERTAIN:
        cue_text = report.sections[section][cue.start : cue.end] if cue is not None else ""
        values = {**values, Attribute.CERTAINTY: [certainty_of(cue_text)]}
    candidates = mention.candidates
    if decision.chosen:
        candidates = (chosen_concept, *(other for other in candidates if other is not chosen_concept))
    cue_span, rule = (None, "") if cue is None else ((cue.start, cue.end), cue.rule)
    return MentionEvidence(
        section, mention.start, mention.end, cue_span, candidates, rule, values, chosen_concept.alias
    )


def _described(mention: Mention) -> Described:
    concept = mention.candidates[0]
    return Described(mention.start, mention.end, not is_anatomy(mention), _name_words(concept.name), concept.organ)


@lru_cache(maxsize=100_000)
def _name_words(name: str) -> frozenset[str]:
    return frozenset(name.casefold().split())


def _without_conflicts(edges: _Edges, conflicts: Conflicts) -> _Edges:
    """The edges that remain where a concept has several stances. A left and a right finding are no conflict."""
    if conflicts is Conflicts.keep:
        return edges
    dropped: set[tuple[str, Stance]] = set()
    by_concept: dict[str, list[Stance]] = {}
    for cui, stance in edges:
        by_concept.setdefault(cui, []).append(stance)
    for cui, stances in by_concept.items():
        last = max(stances, key=lambda stance: _position(edges[cui, stance][1][-1]))
        for stance in stances:
            rivals = [last] if conflicts is Conflicts.last else _STRONGER[stance]
            if any(
                rival is not stance and rival in stances and _is_conflict(edges, cui, stance, rival) for rival in rivals
            ):
                dropped.add((cui, stance))
    return {edge_key: edge for edge_key, edge in edges.items() if edge_key not in dropped}


def _position(evidence: MentionEvidence) -> tuple[int, int]:
    return SECTIONS.index(evidence.section) if evidence.section in SECTIONS else -1, evidence.start


def _is_conflict(edges: _Edges, cui: str, first: Stance, second: Stance) -> bool:
    """Whether both may be about the same side."""
    sides = [
        merge_values([mention.attributes for mention in edges[cui, stance][1]], stance).get("side")
        for stance in (first, second)
    ]
    return set(sides) != {LEFT, RIGHT}


_STRONGER: Final[dict[Stance, tuple[Stance, ...]]] = {
    Stance.POSITIVE: (),
    Stance.UNCERTAIN: (Stance.POSITIVE,),
    Stance.NEGATIVE: (Stance.POSITIVE, Stance.UNCERTAIN),
}


def properties(
    annotation: Annotation, stance: Stance, evidence: Sequence[MentionEvidence], tagger: Tagger
) -> dict[str, Any]:
    """What the graph keeps on an edge."""
    return {
        **merge_values([mention.attributes for mention in evidence], stance),
        "report": annotation.report.study,
        "evidence": [evidence_record.as_json() for evidence_record in evidence],
        "tagger": tagger.name,
        "judge": annotation.judge,
    }
