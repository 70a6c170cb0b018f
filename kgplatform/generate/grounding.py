"""Is a triplet in the report? What a generator writes and the text does not support is marked, not thrown away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kgplatform.construct.annotate import tag
from kgplatform.construct.lexicon import key
from kgplatform.construct.report import Report
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import Tagger
from kgplatform.construct.text import sentences
from kgplatform.schema import Stance
from kgplatform.triplets.linking import ConceptLink
from kgplatform.triplets.text import Triplet


class _Sentence(NamedTuple):
    """A sentence as words to be compared, and the stances of the concepts in it."""

    words: str  # with a space before and after
    stances: Mapping[str, Stance | None]


class Grounding:
    """What one report says, to check triplets against."""

    def __init__(self, sections: Mapping[str, str], tagger: Tagger, link: Callable[[str], ConceptLink | None]) -> None:
        self._link = link
        self._sentences: Sequence[_Sentence] = list(_read(sections, tagger))

    def supports(self, triplet: Triplet) -> bool:
        """Whether one sentence names both ends, by their words or by their concepts."""
        return any(
            self._names(sentence, triplet.head) and self._names(sentence, triplet.tail) for sentence in self._sentences
        )

    def stance(self, entity: str) -> Stance | None:
        """What the report says of an entity's concept where it first names it; None where it says nothing."""
        link = self._link(entity)
        if link is None:
            return None
        return next(
            (sentence.stances[link.cui] for sentence in self._sentences if sentence.stances.get(link.cui)), None
        )

    def _names(self, sentence: _Sentence, entity: str) -> bool:
        if f" {key(entity)} " in sentence.words:
            return True
        link = self._link(entity)
        return link is not None and link.cui in sentence.stances


def _read(sections: Mapping[str, str], tagger: Tagger) -> list[_Sentence]:
    read_sentences = []
    for _, section_text, mentions in tag(Report("", "", sections), tagger):
        decisions = rules().stances(section_text, mentions)
        judged_mentions = list(zip(mentions, decisions, strict=True))
        for sentence_start, sentence_end in sentences(section_text):
            sentence_mentions = [
                (mention, decision)
                for mention, decision in judged_mentions
                if sentence_start <= mention.start < sentence_end
            ]
            stances = {
                candidate.cui: decision.stance
                for mention, decision in sentence_mentions
                for candidate in mention.candidates
            }
            read_sentences.append(_Sentence(f" {key(section_text[sentence_start:sentence_end])} ", stances))
    return read_sentences
