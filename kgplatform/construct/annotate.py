"""From a report to what its image shows: the concepts, their stances, and the evidence for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from kgplatform.construct.report import SECTIONS, Report
from kgplatform.construct.stance import Decision
from kgplatform.construct.tagger import Candidate, Mention, Tagger
from kgplatform.schema import CONCEPT_ID, Stance

# Words of a report's form; a concept of such a name is no finding (requirements 6.3).
HEADERS: Final = frozenset(
    {"impression", "findings", "finding", "indication", "comparison", "technique", "history", "examination"}
)


class Judge(Protocol):
    """Stage II: chooses the concept of each mention and says its stance."""

    @property
    def name(self) -> str:
        """Kind and version, as the evidence of an edge tells it."""
        ...

    def decide(self, text: str, mentions: Sequence[Mention]) -> list[Decision]:
        """A decision for each mention, in order; one without a stance drops the mention."""
        ...


class Evidence(NamedTuple):
    """Where a report says it: the phrase and the cue that decided, as characters of a section."""

    section: str
    start: int
    end: int
    cue: tuple[int, int] | None
    candidates: tuple[Candidate, ...]

    def as_json(self) -> str:
        """One line without any word of the report."""
        return json.dumps(
            {
                "section": self.section,
                "start": self.start,
                "end": self.end,
                "cue": self.cue,
                "candidates": [[candidate.cui, round(candidate.score, 3)] for candidate in self.candidates],
            }
        )


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a report says of its image: evidence by concept and stance, in the order of the text."""

    report: Report
    edges: Mapping[tuple[Candidate, Stance], Sequence[Evidence]] = field(default_factory=dict)


def annotate(report: Report, tagger: Tagger, judge: Judge) -> Annotation:
    """Find the concepts of a report's findings and impression, and the stance of each."""
    edges: dict[tuple[str, Stance], tuple[Candidate, list[Evidence]]] = {}
    for section in SECTIONS:
        text = report.sections.get(section, "")
        mentions = tagger.tag(text) if text else []
        for mention, decision in zip(mentions, judge.decide(text, mentions), strict=True):
            chosen = mention.candidates[decision.chosen]
            if decision.stance is None or chosen.name.casefold() in HEADERS or not CONCEPT_ID.fullmatch(chosen.cui):
                continue
            cue = None if decision.cue is None else (decision.cue.start, decision.cue.end)
            found = Evidence(section, mention.start, mention.end, cue, mention.candidates)
            edges.setdefault((chosen.cui, decision.stance), (chosen, []))[1].append(found)
    return Annotation(report, {(chosen, stance): found for (_, stance), (chosen, found) in edges.items()})


def properties(annotation: Annotation, evidence: Sequence[Evidence], tagger: Tagger, judge: Judge) -> dict[str, Any]:
    """What the graph keeps on an edge."""
    return {
        "report": annotation.report.study,
        "evidence": [found.as_json() for found in evidence],
        "tagger": tagger.name,
        "judge": judge.name,
    }
