"""Stage II by rules: whether a report says that a concept is shown, ruled out or left open (MedMKG §3.3).

An engine after ConText (Harkema et al. 2009): words such as "no", "possible" or "history of" reach forward or back
over a part of their sentence, and a mention in reach takes their meaning. The words are in `cues.tsv`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from kgplatform.construct.lexicon import key
from kgplatform.construct.semantic_types import ANATOMY
from kgplatform.construct.tagger import Mention
from kgplatform.construct.text import Token, sentences, tokens
from kgplatform.errors import InputError
from kgplatform.schema import Stance

if TYPE_CHECKING:
    from kgplatform.construct.annotate import Tagged, Verdict


class Kind(StrEnum):
    """What a cue does; see `cues.tsv`."""

    NEGATES = "negates"
    NEGATED = "negated"
    HEDGES = "hedges"
    HEDGED = "hedged"
    ELSEWHERE = "elsewhere"
    NOTHING = "nothing"
    ENDS = "ends"
    TURNS = "turns"
    ANSWERS = "answers"
    NEUTRAL = "neutral"


class Cue(NamedTuple):
    """A cue in a text, from `start` to `end`."""

    kind: Kind
    start: int
    end: int


class Decision(NamedTuple):
    """What is said of a mention; no stance where it is not about this image. `cue` decided, None where none did.

    `chosen` is the place of the concept among the mention's candidates.
    """

    stance: Stance | None
    cue: Cue | None = None
    chosen: int = 0


_FORWARD: Final = {Kind.NEGATES: Stance.NEGATIVE, Kind.HEDGES: Stance.UNCERTAIN, Kind.ELSEWHERE: None}
_BACKWARD: Final = {Kind.NEGATED: Stance.NEGATIVE, Kind.HEDGED: Stance.UNCERTAIN}
_FIRST: Final = (None, Stance.NEGATIVE, Stance.UNCERTAIN)  # of several cues, the one that counts


class Rules:
    """The cues, ready to be found."""

    concurrency = 1  # it computes, so threads do not help

    def __init__(self, cues: Iterable[tuple[Kind, str]]) -> None:
        """Take in kinds and phrases."""
        cues = list(cues)
        self.name = f"rules {hashlib.sha256(repr(cues).encode()).hexdigest()[:12]}"
        self._cues: dict[str, list[tuple[list[str], list[Kind]]]] = {}
        together: dict[tuple[str, ...], list[Kind]] = {}
        self._neutral = frozenset(key(phrase) for kind, phrase in cues if kind is Kind.NEUTRAL)
        for kind, phrase in cues:
            if kind is Kind.NEUTRAL:
                continue
            together.setdefault(tuple(token.text for token in tokens(phrase)), []).append(kind)
        for phrase_tokens in sorted(together, key=len, reverse=True):
            self._cues.setdefault(phrase_tokens[0], []).append((list(phrase_tokens), together[phrase_tokens]))

    def decide(self, sections: Sequence[Tagged]) -> Verdict:
        """A decision for each mention of each section of a report."""
        from kgplatform.construct.annotate import Judgement, Verdict

        senses = _senses(mention for _, _, mentions in sections for mention in mentions)
        return Verdict(
            self.name,
            [
                Judgement(section, mention, decision._replace(chosen=_sense(mention, senses)))
                for section, text, mentions in sections
                for mention, decision in zip(mentions, self.stances(text, mentions), strict=True)
            ],
        )

    def stances(self, text: str, mentions: Sequence[Mention]) -> list[Decision]:
        """A decision for each mention of the text; mentions are in order."""
        decisions: list[Decision] = []
        upcoming = iter(mentions)
        mention = next(upcoming, None)
        for start, end in sentences(text):
            inside = []
            while mention is not None and mention.start < end:
                inside.append(mention)
                mention = next(upcoming, None)
            if inside:
                decisions.extend(self._in_sentence(text, start, end, inside))
        return decisions

    def _in_sentence(self, text: str, start: int, end: int, mentions: Sequence[Mention]) -> Iterator[Decision]:
        of = [Token(token.text, token.start + start, token.end + start) for token in tokens(text[start:end])]
        cues = self._find(of, mentions)
        for mention in mentions:
            if key(text[mention.start : mention.end]) in self._neutral:
                yield Decision(None)
                continue
            reaching = [(stance, cue) for cue in cues for stance in _reaching(cue, mention, cues, of)]
            if _is_anatomy(mention):  # "no nodule in the left lung": the lung is there
                reaching = [(stance, cue) for stance, cue in reaching if stance is None]
            if not reaching:
                yield Decision(Stance.POSITIVE)
            else:
                stance, cue = min(reaching, key=lambda found: _FIRST.index(found[0]))
                yield Decision(stance, cue)

    def _find(self, of: Sequence[Token], mentions: Sequence[Mention]) -> list[Cue]:
        """The cues of a sentence, none within a mention."""
        found: list[Cue] = []
        words = [token.text for token in of]
        place = 0
        while place < len(words):
            for phrase, kinds in self._cues.get(words[place], ()):
                last = place + len(phrase)
                if words[place:last] == phrase:
                    meant = _meant(kinds, words, place, last)
                    found.extend(Cue(kind, of[place].start, of[last - 1].end) for kind in meant)
                    place = last
                    break
            else:
                place += 1
        return [
            cue
            for cue in found
            if not any(
                m.start <= cue.start and cue.end <= m.end and m.end - m.start > cue.end - cue.start for m in mentions
            )
        ]


_MARKS: Final = frozenset(":-–(,=")  # between a finding and its answer: "Effusion: no"
_CLOSES: Final = frozenset(".;,)!")


def _meant(kinds: Sequence[Kind], words: Sequence[str], place: int, last: int) -> Sequence[Kind]:
    """What a cue from `place` up to `last` does where it stands.

    "no" is an answer where nothing but marks is around it; a comma with an adjective begins a new clause ("no effusion,
    mild edema") unless the list that it stands in goes on ("no effusion, large nodule, or edema").
    """
    if Kind.ANSWERS in kinds:
        alone = place > 0 and words[place - 1] in _MARKS and (last == len(words) or words[last] in _CLOSES)
        return [Kind.ANSWERS] if alone else [kind for kind in kinds if kind is not Kind.ANSWERS]
    if Kind.TURNS in kinds:
        return [] if not {"or", "nor"}.isdisjoint(words[last:]) else [Kind.ENDS]
    return kinds


def _is_anatomy(mention: Mention) -> bool:
    types = mention.candidates[0].types
    return bool(types) and all(kind in ANATOMY for kind in types)


def _senses(mentions: Iterable[Mention]) -> frozenset[str]:
    """The concepts that a report names without ambiguity."""
    return frozenset(mention.candidates[0].cui for mention in mentions if len(mention.candidates) == 1)


def _sense(mention: Mention, senses: Collection[str]) -> int:
    """The place of the concept that is meant: of several as good by name, one that the report names clearly, too."""
    best = mention.candidates[0].score
    for place, candidate in enumerate(mention.candidates):
        if candidate.score == best and candidate.cui in senses:
            return place
    return 0


def _reaching(cue: Cue, mention: Mention, cues: Sequence[Cue], of: Sequence[Token]) -> Iterator[Stance | None]:
    """What the cue says of the mention, if it reaches it."""
    if cue.kind in _FORWARD and cue.end <= mention.start:
        low, high = cue.end, mention.start
        stance = _FORWARD[cue.kind]
    elif cue.kind is Kind.ANSWERS and mention.end <= cue.start:
        if not any(mention.end <= token.start < cue.start and token.text[0].isalnum() for token in of):
            yield Stance.NEGATIVE
        return
    elif cue.kind in _BACKWARD and mention.end <= cue.start:
        low, high = mention.end, cue.start
        stance = _BACKWARD[cue.kind]
    else:
        return
    if not any(other.kind is Kind.ENDS and low <= other.start and other.end <= high for other in cues):
        yield stance


def read_cues(text: str, name: str) -> Iterator[tuple[Kind, str]]:
    """Kinds and phrases of a table of cues. Raises `InputError` for a line that is none."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, tab, phrase = line.partition("\t")
        if not tab or kind not in list(Kind) or not phrase.strip():
            raise InputError(f"{name}, line {number}: not a kind and a phrase", f"Kinds: {', '.join(Kind)}.")
        yield Kind(kind), phrase.strip()


@cache
def rules() -> Rules:
    """The platform's own rules."""
    table = files("kgplatform.construct").joinpath("cues.tsv").read_text(encoding="utf-8")
    return Rules(read_cues(table, "cues.tsv"))
