"""What a generator has to beat: a dictionary with rules of order, and the most frequent triplets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from kgp_loaders.lexicons import read
from kgp_loaders.umls import UMLS
from kgp_models.generator.settings import DataSettings
from kgp_models.generator.validate import DEGREE
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.semantic_types import ANATOMY, Allowed
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.construct.text import sentences
from kgplatform.triplets.metrics import Key, count, score
from kgplatform.triplets.text import Relation, Triplet, entity

MOST: Final = 12  # triplets that a baseline without a report may say
_SIDE: Final = re.compile(r"\b(?:left|right)(?: - sided)?\b|\bbilateral\b", re.IGNORECASE)
_SUGGESTS: Final = re.compile(
    r"\b(?:may represent|could represent|suggest\w*|suspicious for|concerning for|consistent with|compatible with"
    r"|versus|likely)\b",
    re.IGNORECASE,
)


class _Found(NamedTuple):
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
        paths = [base / data.path / name for name in data.lexicon]
        found = (one for path in paths for one in (UMLS(path).concepts() if path.is_dir() else read(path)))
        self._tagger = DictionaryTagger(Lexicon(one for one in found if isinstance(one, Concept)), Allowed())

    def triplets(self, report: str) -> tuple[Triplet, ...]:
        """The triplets of a report in RadGraph's form, in the order of its sentences."""
        found = self._phrases(report)
        said: dict[Triplet, None] = {}
        for start, end in sentences(report):
            said |= dict.fromkeys(_related(report, [one for one in found if start <= one.start < end]))
        return tuple(said)

    def _phrases(self, report: str) -> list[_Found]:
        """Phrases in order; a degree or a side within a name is part of the name."""
        found = []
        for one in self._tagger.tag(report):
            types = one.candidates[0].types
            kind = "place" if types and all(kind in ANATOMY for kind in types) else "finding"
            found.append(_Found(one.start, one.end, kind, entity(report[one.start : one.end])))
        words = [("degree", match) for match in DEGREE.finditer(report)]
        words += [("side", match) for match in _SIDE.finditer(report)]
        for kind, match in words:
            if not any(one.start <= match.start() < one.end for one in found):
                found.append(_Found(match.start(), match.end(), kind, entity(match[0])))
        return sorted(one for one in found if one.text)


def _related(report: str, phrases: Sequence[_Found]) -> Iterator[Triplet]:
    findings = [number for number, one in enumerate(phrases) if one.kind == "finding"]
    for at, number in enumerate(findings):
        one = phrases[number]
        last = findings[at - 1] if at else -1
        after = findings[at + 1] if at + 1 < len(findings) else len(phrases)
        before = phrases[last + 1 : number]
        for degree in [word for word in before if word.kind == "degree"][-1:]:
            yield Triplet(degree.text, Relation.MODIFY, one.text)
        places = [word for word in phrases[number + 1 : after] if word.kind in ("place", "side")]
        sides = [word for word in before if word.kind == "side" and word.end + 1 == one.start]
        earlier = [word for word in phrases[:number] if word.kind == "place"]
        for place in (sides or places[:1] or earlier[-1:])[:1]:
            yield Triplet(one.text, Relation.LOCATED_AT, place.text)
        if after < len(phrases) and _SUGGESTS.search(report[one.end : phrases[after].start]):
            yield Triplet(one.text, Relation.SUGGESTIVE_OF, phrases[after].text)


def most_frequent(
    training: Sequence[Sequence[Triplet]], validation: Sequence[Sequence[Triplet]], key: Key
) -> tuple[Triplet, ...]:
    """The triplets that most training records have, as many of them as score best (micro-F1) on the validation's."""
    counts = Counter(triplet for record in training for triplet in set(record))
    common = [triplet for triplet, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]]

    def f1(number: int) -> float:
        return score([count(common[:number], reference, key) for reference in validation]).f1

    return tuple(common[: max(range(1, len(common) + 1), key=f1)]) if common else ()
