"""What a generator has to beat: a dictionary with rules of order, and the most frequent triplets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from kgp_models.generator.settings import DataSettings
from kgp_models.generator.validate import DEGREE
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.lexicon_source import lexicon_source
from kgplatform.construct.semantic_types import ANATOMY, Allowed
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.construct.text import sentences
from kgplatform.triplets.metrics import Key, count, score_documents
from kgplatform.triplets.text import Relation, Triplet, entity

MAX_TRIPLETS: Final = 12  # triplets that a baseline without a report may say
_SIDE: Final = re.compile(r"\b(?:left|right)(?: - sided)?\b|\bbilateral\b", re.IGNORECASE)
_SUGGESTS: Final = re.compile(
    r"\b(?:may represent|could represent|suggest\w*|suspicious for|concerning for|consistent with|compatible with"
    r"|versus|likely)\b",
    re.IGNORECASE,
)


class _Phrase(NamedTuple):
    """A phrase of a sentence: a finding, a place, or a degree."""

    start: int
    end: int
    kind: str
    text: str


class Dictionary:
    """Entities by the construction's tagger, relations by their order within a sentence.

    - a word of degree modifies the next finding, where no other one stands between;
    - a finding is located at a side that stands right before it; else at the first place after it, up to the next
      finding; else at the last place before it;
    - a finding suggests the next one, where "may represent" or the like stands between the two.
    """

    def __init__(self, data: DataSettings, base: Path) -> None:
        lexicon_paths = [base / data.path / lexicon_name for lexicon_name in data.lexicon]
        concept_rows = (
            concept_row for lexicon_path in lexicon_paths for concept_row in lexicon_source(lexicon_path).concepts()
        )
        self._tagger = DictionaryTagger(
            Lexicon(concept_row for concept_row in concept_rows if isinstance(concept_row, Concept)), Allowed()
        )

    def triplets(self, report: str) -> tuple[Triplet, ...]:
        """The triplets of a report in RadGraph's form, in the order of its sentences."""
        phrases = self._phrases(report)
        unique_triplets: dict[Triplet, None] = {}
        for sentence_start, sentence_end in sentences(report):
            unique_triplets |= dict.fromkeys(
                _related(report, [phrase for phrase in phrases if sentence_start <= phrase.start < sentence_end])
            )
        return tuple(unique_triplets)

    def _phrases(self, report: str) -> list[_Phrase]:
        """Phrases in order; a degree or a side within a name is part of the name."""
        phrases = []
        for phrase in self._tagger.tag(report):
            semantic_types = phrase.candidates[0].types
            kind = "place" if semantic_types and all(kind in ANATOMY for kind in semantic_types) else "finding"
            phrases.append(_Phrase(phrase.start, phrase.end, kind, entity(report[phrase.start : phrase.end])))
        pattern_matches = [("degree", match) for match in DEGREE.finditer(report)]
        pattern_matches += [("side", match) for match in _SIDE.finditer(report)]
        for kind, match in pattern_matches:
            if not any(phrase.start <= match.start() < phrase.end for phrase in phrases):
                phrases.append(_Phrase(match.start(), match.end(), kind, entity(match[0])))
        return sorted(phrase for phrase in phrases if phrase.text)


def _related(report: str, phrases: Sequence[_Phrase]) -> Iterator[Triplet]:
    findings = [phrase_index for phrase_index, phrase in enumerate(phrases) if phrase.kind == "finding"]
    for finding_index, phrase_index in enumerate(findings):
        phrase = phrases[phrase_index]
        previous_index = findings[finding_index - 1] if finding_index else -1
        next_index = findings[finding_index + 1] if finding_index + 1 < len(findings) else len(phrases)
        preceding_phrases = phrases[previous_index + 1 : phrase_index]
        for degree in [candidate for candidate in preceding_phrases if candidate.kind == "degree"][-1:]:
            yield Triplet(degree.text, Relation.MODIFY, phrase.text)
        following_places = [
            candidate for candidate in phrases[phrase_index + 1 : next_index] if candidate.kind in ("place", "side")
        ]
        adjacent_sides = [
            candidate
            for candidate in preceding_phrases
            if candidate.kind == "side" and candidate.end + 1 == phrase.start
        ]
        earlier_places = [candidate for candidate in phrases[:phrase_index] if candidate.kind == "place"]
        for location in (adjacent_sides or following_places[:1] or earlier_places[-1:])[:1]:
            yield Triplet(phrase.text, Relation.LOCATED_AT, location.text)
        if next_index < len(phrases) and _SUGGESTS.search(report[phrase.end : phrases[next_index].start]):
            yield Triplet(phrase.text, Relation.SUGGESTIVE_OF, phrases[next_index].text)


def most_frequent(
    training: Sequence[Sequence[Triplet]], validation: Sequence[Sequence[Triplet]], key: Key
) -> tuple[Triplet, ...]:
    """The triplets that most training records have, as many of them as score best (micro-F1) on the validation's."""
    triplet_counts = Counter(triplet for record in training for triplet in set(record))
    common_triplets = [
        triplet
        for triplet, _ in sorted(
            triplet_counts.items(), key=lambda triplet_and_count: (-triplet_and_count[1], triplet_and_count[0])
        )[:MAX_TRIPLETS]
    ]

    def f1(triplet_count: int) -> float:
        return score_documents([count(common_triplets[:triplet_count], reference, key) for reference in validation]).f1

    return tuple(common_triplets[: max(range(1, len(common_triplets) + 1), key=f1)]) if common_triplets else ()
