"""What a judge is asked and what it answers: mentions with their sections, and for each a stance and its cue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from kgplatform.construct.modality import Exam
from kgplatform.construct.tagger import Mention
from kgplatform.schema import History, Stance


class Cue(NamedTuple):
    """The words of a text, from `start` to `end`, by which a rule decided. `rule` is the rule's name."""

    rule: str
    start: int
    end: int


class Decision(NamedTuple):
    """What is said of a mention; no stance where it is not about this image. `cue` decided, None where none did.

    `chosen` is the index of the concept among the mention's candidates. `history`: that the patient, or the family,
    had it.
    """

    stance: Stance | None
    cue: Cue | None = None
    chosen: int = 0
    history: History | None = None


class Tagged(NamedTuple):
    """A section of a report with its mentions, in order."""

    section: str
    text: str
    mentions: Sequence[Mention]


class Judgement(NamedTuple):
    """What is said of a mention in a section."""

    section: str
    mention: Mention
    decision: Decision


class Verdict(NamedTuple):
    """What is said of a report, and by whom: kind and version, as the evidence of an edge states it.

    A mention may have several judgements, or none, which drops it as one without a stance does.
    """

    judge: str
    judgements: Sequence[Judgement]


class Judge(Protocol):
    """Stage II: chooses the concept of each mention and says its stance."""

    @property
    def name(self) -> str:
        """Kind and version."""
        ...

    @property
    def concurrency(self) -> int:
        """How many reports are judged at a time by threads: 1 for what computes, more for what waits."""
        ...

    def decide(self, sections: Sequence[Tagged]) -> Verdict:
        """What the report of these sections says of its mentions."""
        ...


@runtime_checkable
class ExamJudge(Protocol):
    """A judge that also asks what kind of study the report is about."""

    def decide_for_exam(self, sections: Sequence[Tagged], exam: Exam) -> Verdict:
        """What the report of these sections, about that study, says of its mentions."""
        ...
