"""From a report to what its image shows: the concepts, their stances, and the evidence for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from kgplatform.construct.judgement import ExamJudge, Judge, Tagged
from kgplatform.construct.report import SECTIONS, Report
from kgplatform.construct.tagger import Candidate, Tagger
from kgplatform.schema import CONCEPT_ID, Stance

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
    cue it is, empty where none decided.
    """

    section: str
    start: int
    end: int
    cue: tuple[int, int] | None
    candidates: tuple[Candidate, ...]
    rule: str = ""

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
            }
        )


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a report says of its image: evidence by concept and stance, in the order of the text."""

    report: Report
    edges: Mapping[tuple[Candidate, Stance], Sequence[MentionEvidence]] = field(default_factory=dict)
    judge: str = ""


def annotate(report: Report, tagger: Tagger, judge: Judge, conflicts: Conflicts = Conflicts.keep) -> Annotation:
    """Find the concepts of a report's findings and impression, and the stance of each."""
    return judged(report, tag(report, tagger), judge, conflicts)


def tag(report: Report, tagger: Tagger) -> list[Tagged]:
    """The sections that describe the image, with the mentions in them (stage I)."""
    section_texts = ((section, report.sections.get(section, "")) for section in SECTIONS)
    return [
        Tagged(section, section_text, tagger.tag(section_text))
        for section, section_text in section_texts
        if section_text
    ]


def judged(report: Report, sections: Sequence[Tagged], judge: Judge, conflicts: Conflicts) -> Annotation:
    """The report's edges (stage II)."""
    edges: dict[tuple[str, Stance], tuple[Candidate, list[MentionEvidence]]] = {}
    verdict = judge.decide_for_exam(sections, report.exam) if isinstance(judge, ExamJudge) else judge.decide(sections)
    for section, mention, decision in verdict.judgements:
        chosen_concept = mention.candidates[decision.chosen]
        if (
            decision.stance is None
            or chosen_concept.name.casefold() in HEADERS
            or not CONCEPT_ID.fullmatch(chosen_concept.cui)
        ):
            continue
        cue_span = None if decision.cue is None else (decision.cue.start, decision.cue.end)
        rule = "" if decision.cue is None else decision.cue.rule
        evidence = MentionEvidence(section, mention.start, mention.end, cue_span, mention.candidates, rule)
        if conflicts is Conflicts.last:
            edges = {
                edge_key: edge
                for edge_key, edge in edges.items()
                if edge_key[0] != chosen_concept.cui or edge_key[1] is decision.stance
            }
        edges.setdefault((chosen_concept.cui, decision.stance), (chosen_concept, []))[1].append(evidence)
    if conflicts is Conflicts.strongest:
        edges = {
            edge_key: edge
            for edge_key, edge in edges.items()
            if not any((edge_key[0], stronger_stance) in edges for stronger_stance in _STRONGER[edge_key[1]])
        }
    retained_edges = {(chosen_concept, stance): evidence for (_, stance), (chosen_concept, evidence) in edges.items()}
    return Annotation(report, retained_edges, verdict.judge)


_STRONGER: Final[dict[Stance, tuple[Stance, ...]]] = {
    Stance.POSITIVE: (),
    Stance.UNCERTAIN: (Stance.POSITIVE,),
    Stance.NEGATIVE: (Stance.POSITIVE, Stance.UNCERTAIN),
}


def properties(annotation: Annotation, evidence: Sequence[MentionEvidence], tagger: Tagger) -> dict[str, Any]:
    """What the graph keeps on an edge."""
    return {
        "report": annotation.report.study,
        "evidence": [evidence_record.as_json() for evidence_record in evidence],
        "tagger": tagger.name,
        "judge": annotation.judge,
    }
