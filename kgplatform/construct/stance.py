"""Stage II by rules: whether a report says that a concept is shown, ruled out or left open (MedMKG §3.3).

An engine after ConText (Harkema et al. 2009): words such as "no", "possible" or "history of" reach forward or back
over a part of their sentence, and a mention in reach takes their meaning. The words are in `cues.tsv`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from kgplatform.construct.judgement import Cue, CueKind, Decision, Judgement, Tagged, Verdict
from kgplatform.construct.lexicon import key
from kgplatform.construct.semantic_types import ANATOMY
from kgplatform.construct.tagger import Mention
from kgplatform.construct.text import Token, sentences, tokenize_text
from kgplatform.errors import InputError
from kgplatform.schema import Stance

_FORWARD: Final = {CueKind.NEGATES: Stance.NEGATIVE, CueKind.HEDGES: Stance.UNCERTAIN, CueKind.ELSEWHERE: None}
_BACKWARD: Final = {CueKind.NEGATED: Stance.NEGATIVE, CueKind.HEDGED: Stance.UNCERTAIN}
_FIRST: Final = (None, Stance.NEGATIVE, Stance.UNCERTAIN)  # of several cues, the one that counts


class Rules:
    """The cues, ready to be found."""

    concurrency = 1  # it computes, so threads do not help

    def __init__(self, cues: Iterable[tuple[CueKind, str]]) -> None:
        """Take in kinds and phrases."""
        cues = list(cues)
        self.name = f"rules {hashlib.sha256(repr(cues).encode()).hexdigest()[:12]}"
        self._cues: dict[str, list[tuple[list[str], list[CueKind]]]] = {}
        kinds_by_phrase: dict[tuple[str, ...], list[CueKind]] = {}
        self._neutral = frozenset(key(phrase) for kind, phrase in cues if kind is CueKind.NEUTRAL)
        for kind, phrase in cues:
            if kind is CueKind.NEUTRAL:
                continue
            kinds_by_phrase.setdefault(tuple(token.text for token in tokenize_text(phrase)), []).append(kind)
        for phrase_tokens in sorted(kinds_by_phrase, key=len, reverse=True):
            self._cues.setdefault(phrase_tokens[0], []).append((list(phrase_tokens), kinds_by_phrase[phrase_tokens]))

    def decide(self, sections: Sequence[Tagged]) -> Verdict:
        """A decision for each mention of each section of a report."""
        senses = _senses(mention for _, _, mentions in sections for mention in mentions)
        return Verdict(
            self.name,
            [
                Judgement(section, mention, decision._replace(chosen=_sense(mention, senses)))
                for section, section_text, mentions in sections
                for mention, decision in zip(mentions, self.stances(section_text, mentions), strict=True)
            ],
        )

    def stances(self, text: str, mentions: Sequence[Mention]) -> list[Decision]:
        """A decision for each mention of the text; mentions are in order."""
        decisions: list[Decision] = []
        upcoming = iter(mentions)
        mention = next(upcoming, None)
        for sentence_start, sentence_end in sentences(text):
            sentence_mentions = []
            while mention is not None and mention.start < sentence_end:
                sentence_mentions.append(mention)
                mention = next(upcoming, None)
            if sentence_mentions:
                decisions.extend(self._in_sentence(text, sentence_start, sentence_end, sentence_mentions))
        return decisions

    def _in_sentence(
        self, text: str, sentence_start: int, sentence_end: int, mentions: Sequence[Mention]
    ) -> Iterator[Decision]:
        sentence_tokens = [
            Token(token.text, token.start + sentence_start, token.end + sentence_start)
            for token in tokenize_text(text[sentence_start:sentence_end])
        ]
        sentence_cues = self._find(sentence_tokens, mentions)
        for mention in mentions:
            if key(text[mention.start : mention.end]) in self._neutral:
                yield Decision(None)
                continue
            reaching = [
                (stance, cue)
                for cue in sentence_cues
                for stance in _reaching(cue, mention, sentence_cues, sentence_tokens)
            ]
            if _is_anatomy(mention):  # "no nodule in the left lung": the lung is present
                reaching = [(stance, cue) for stance, cue in reaching if stance is None]
            if not reaching:
                yield Decision(Stance.POSITIVE)
            else:
                stance, cue = min(reaching, key=lambda stance_cue: _FIRST.index(stance_cue[0]))
                yield Decision(stance, cue)

    def _find(self, sentence_tokens: Sequence[Token], mentions: Sequence[Mention]) -> list[Cue]:
        """The cues of a sentence, none within a mention."""
        sentence_cues: list[Cue] = []
        token_texts = [token.text for token in sentence_tokens]
        position = 0
        while position < len(token_texts):
            for cue_words, cue_kinds in self._cues.get(token_texts[position], ()):
                cue_end = position + len(cue_words)
                if token_texts[position:cue_end] == cue_words:
                    active_kinds = _meant(cue_kinds, token_texts, position, cue_end)
                    sentence_cues.extend(
                        Cue(kind, sentence_tokens[position].start, sentence_tokens[cue_end - 1].end)
                        for kind in active_kinds
                    )
                    position = cue_end
                    break
            else:
                position += 1
        return [
            cue
            for cue in sentence_cues
            if not any(
                mention.start <= cue.start
                and cue.end <= mention.end
                and mention.end - mention.start > cue.end - cue.start
                for mention in mentions
            )
        ]


_MARKS: Final = frozenset(":-–(,=")  # between a finding and its answer: "Effusion: no"
_CLOSES: Final = frozenset(".;,)!")


def _meant(cue_kinds: Sequence[CueKind], token_texts: Sequence[str], cue_start: int, cue_end: int) -> Sequence[CueKind]:
    """What a cue from `cue_start` up to `cue_end` does where it stands.

    "no" is an answer where nothing but marks is around it; a comma with an adjective begins a new clause ("no effusion,
    mild edema") unless the list that contains it goes on ("no effusion, large nodule, or edema").
    """
    if CueKind.ANSWERS in cue_kinds:
        stands_alone = (
            cue_start > 0
            and token_texts[cue_start - 1] in _MARKS
            and (cue_end == len(token_texts) or token_texts[cue_end] in _CLOSES)
        )
        return [CueKind.ANSWERS] if stands_alone else [kind for kind in cue_kinds if kind is not CueKind.ANSWERS]
    if CueKind.TURNS in cue_kinds:
        return [] if not {"or", "nor"}.isdisjoint(token_texts[cue_end:]) else [CueKind.ENDS]
    return cue_kinds


def _is_anatomy(mention: Mention) -> bool:
    concept_types = mention.candidates[0].types
    return bool(concept_types) and all(concept_type in ANATOMY for concept_type in concept_types)


def _senses(mentions: Iterable[Mention]) -> frozenset[str]:
    """The concepts that a report names without ambiguity."""
    return frozenset(mention.candidates[0].cui for mention in mentions if len(mention.candidates) == 1)


def _sense(mention: Mention, senses: Collection[str]) -> int:
    """The place of the concept that is meant: of several as good by name, one that the report names clearly, too."""
    best_score = mention.candidates[0].score
    for candidate_index, candidate in enumerate(mention.candidates):
        if candidate.score == best_score and candidate.cui in senses:
            return candidate_index
    return 0


def _reaching(
    cue: Cue, mention: Mention, sentence_cues: Sequence[Cue], sentence_tokens: Sequence[Token]
) -> Iterator[Stance | None]:
    """What the cue says of the mention, if it reaches it."""
    if cue.kind in _FORWARD and cue.end <= mention.start:
        gap_start, gap_end = cue.end, mention.start
        stance = _FORWARD[cue.kind]
    elif cue.kind is CueKind.ANSWERS and mention.end <= cue.start:
        if not any(mention.end <= token.start < cue.start and token.text[0].isalnum() for token in sentence_tokens):
            yield Stance.NEGATIVE
        return
    elif cue.kind in _BACKWARD and mention.end <= cue.start:
        gap_start, gap_end = mention.end, cue.start
        stance = _BACKWARD[cue.kind]
    else:
        return
    if not any(
        other_cue.kind is CueKind.ENDS and gap_start <= other_cue.start and other_cue.end <= gap_end
        for other_cue in sentence_cues
    ):
        yield stance


def read_cues(text: str, name: str) -> Iterator[tuple[CueKind, str]]:
    """Kinds and phrases of a table of cues. Raises `InputError` for a line that is none."""
    for line_number, cue_line in enumerate(text.splitlines(), 1):
        if not cue_line.strip() or cue_line.startswith("#"):
            continue
        kind_name, separator, phrase = cue_line.partition("\t")
        if not separator or kind_name not in list(CueKind) or not phrase.strip():
            raise InputError(f"{name}, line {line_number}: not a kind and a phrase", f"Kinds: {', '.join(CueKind)}.")
        yield CueKind(kind_name), phrase.strip()


@cache
def rules() -> Rules:
    """The platform's own rules."""
    cue_table = files("kgplatform.construct").joinpath("cues.tsv").read_text(encoding="utf-8")
    return Rules(read_cues(cue_table, "cues.tsv"))
