"""Stage I, concept identification (MedMKG §3.2): phrases of a text with ranked candidate concepts for each.

A tagger of any kind answers `tag(text)` with mentions. The built-in one finds the names of a lexicon; others plug in
by an entry point of the group ``kgplatform.taggers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from kgplatform.construct.attribute_table import words_of_location, words_within_names
from kgplatform.construct.lexicon import Lexicon, LexiconEntry, Word, key, key_words
from kgplatform.construct.semantic_types import are_anatomy
from kgplatform.construct.spelling import Speller
from kgplatform.construct.text import MAX_REMEMBERED, SENTENCES, Token, sentences, tokenize_text
from kgplatform.errors import UsageError

MAX_CANDIDATES: Final = 10
BY_NAME: Final = 1.0  # the score of a concept's preferred name
BY_SYNONYM: Final = 0.9
MENDED: Final = 0.2  # subtracted where a typo was corrected

# Words that may be inside a name: "heart is mildly enlarged", "blunting of the left costophrenic angle".
SKIPPED_WITHIN: Final = words_within_names() | frozenset(
    "prominent significant significantly recurrent residual persistent persistently increased remains remain remained "  # noqa: SIM905
    "appears appear possible probable likely somewhat partially partly focal diffuse scattered patchy multifocal "
    "multilevel posterior anterior lateral medial superior inferior lower upper mid proximal distal very also now "
    "again not xxxx peripheral peripherally central centrally round rounded punctate densely heavily partially "
    "multiple numerous several few single solitary".split()
)
LUNG: Final = frozenset(["lung", "pulmonary"])
WITHIN_OWN: Final = SKIPPED_WITHIN | words_of_location() | frozenset(["mm", "cm"]) | LUNG
CONJUNCTIONS: Final = frozenset(["and", "or"])


class Candidate(NamedTuple):
    """A concept that a phrase may mean; `score` is from 0 to 1."""

    cui: str
    name: str
    score: float
    types: tuple[str, ...] = ()
    organ: str = ""  # see `kgplatform.construct.lexicon.Concept`
    alias: str = ""  # the CUI that the phrase is a name of, where this concept stands for its meaning

    @property
    def is_anatomy(self) -> bool:
        """Whether the concept is a part of the body, and nothing else."""
        return are_anatomy(self.types)


class Mention(NamedTuple):
    """A phrase from `start` to `end` (characters of the text) and what it may mean, the best first. `is_part` says that
    it is a name only with words that follow or precede it: "pleural" in "pleural and pericardial effusions".
    """

    start: int
    end: int
    candidates: tuple[Candidate, ...]
    is_part: bool = False


def is_anatomy(mention: Mention) -> bool:
    """Whether the mention's best candidate is a part of the body, and nothing else."""
    return mention.candidates[0].is_anatomy


class Tagger(Protocol):
    """Anything that finds concepts in a text."""

    @property
    def name(self) -> str:
        """Kind and version, as the evidence of an edge states it."""
        ...

    def tag(self, text: str) -> list[Mention]:
        """The mentions in order; they do not overlap."""
        ...


class DictionaryTagger:
    """Finds the names of a lexicon: the longest at each word, words of degree and side skipped, typos of one letter
    corrected, and both names of "pleural and pericardial effusions".

    `allowed` says which semantic types may be candidates; concepts that it refuses are out before any ranking
    (appendix F.2).
    """

    def __init__(
        self,
        lexicon: Lexicon,
        allowed: Callable[[tuple[str, ...]], bool] = lambda types: True,
        *,
        approximate: bool = True,
    ) -> None:
        self._lexicon = lexicon
        self._allowed = allowed
        self._mend = Speller(lexicon.vocabulary()) if approximate else None
        self.name = "dictionary 2" if approximate else "dictionary 2 exact"

    def tag(self, text: str) -> list[Mention]:
        """The mentions of concepts in a text."""
        mentions: list[Mention] = []
        for start, end in sentences(text):
            tag_sentence = self._tag_sentence if end - start <= MAX_REMEMBERED else self._tag_words
            for mention_start, mention_end, candidates, is_part in tag_sentence(text[start:end]):
                mentions.append(Mention(mention_start + start, mention_end + start, candidates, is_part))
        return mentions

    @lru_cache(maxsize=SENTENCES)  # noqa: B019  a tagger lives as long as its process
    def _tag_sentence(self, sentence: str) -> tuple[Mention, ...]:
        return self._tag_words(sentence)

    def _tag_words(self, text: str) -> tuple[Mention, ...]:
        tokens = tokenize_text(text)
        mentions: list[Mention] = []
        phrase: list[Word] = []
        for word in key_words(tokens):
            if word is not None:
                phrase.append(word)
            elif phrase:
                self._find(phrase, tokens, mentions)
                phrase = []
        if phrase:
            self._find(phrase, tokens, mentions)
        return tuple(mentions)

    def _find(self, phrase: list[Word], text_tokens: Sequence[Token], mentions: list[Mention]) -> None:
        """Add the mentions in words that no mark parts."""
        words = _Words(phrase, *self._mended([word.text for word in phrase]))
        first_mention = len(mentions)
        start = 0
        first_words = self._lexicon.first_words
        while start < len(phrase):
            if words.texts[start] not in first_words:
                start += 1
                continue
            end, name_key = self._longest_name(words, start)
            candidates = self._rank(name_key, words.is_mended(start, end)) if end > start else ()
            word_count = name_key.count(" ") + 1
            if end > start + 1 and candidates and (candidates[0].is_anatomy or word_count < end - start):
                start, end, candidates = self._better_within(words, start, end, candidates, word_count)
            if not candidates or not _is_complete(phrase, start, end):
                start += 1
                continue
            if start and (before := start - 1 - (words.texts[start - 1] in CONJUNCTIONS)) >= 0:
                self._add_joined(
                    words, before, name_key.split(), candidates[0], False, text_tokens, mentions, first_mention
                )
            mentions.append(_mention(phrase, start, end, candidates, text_tokens))
            start = end
            if end + 1 < len(phrase) and words.texts[end] in CONJUNCTIONS:
                joined = self._add_joined(
                    words, end + 1, name_key.split(), candidates[0], True, text_tokens, mentions, first_mention
                )
                start = end + 2 if joined else end

    def _better_within(
        self, words: _Words, start: int, end: int, candidates: tuple[Candidate, ...], word_count: int
    ) -> tuple[int, int, tuple[Candidate, ...]]:
        """The finding that a name within the words states better: one that begins within the name of anatomy and ends
        after it ("right [hemidiaphragm elevation]"), or that needs no word left out ("displaced [rib fracture]").
        """
        is_anatomy = candidates[0].is_anatomy
        for later_start in range(start + 1, end):
            if words.texts[later_start] not in self._lexicon.first_words or words.texts[later_start] in LUNG:
                continue
            later_end, name_key = self._longest_name(words, later_start)
            later_count = name_key.count(" ") + 1
            is_whole = later_end == end and later_count == end - later_start and later_count >= word_count
            if (is_anatomy and later_end > end) or (not is_anatomy and is_whole):
                later = self._rank(name_key, words.is_mended(later_start, later_end))
                if later and not later[0].is_anatomy:
                    return later_start, later_end, later
        return start, end, candidates

    def _mended(self, texts: list[str]) -> tuple[list[str], frozenset[int]]:
        """The words with their typos corrected, and which they were."""
        if self._mend is None:
            return texts, frozenset()
        mended_texts = [self._mend(text) for text in texts]
        changed = (index for index, text in enumerate(texts) if mended_texts[index] != text)
        return mended_texts, frozenset(changed)

    def _longest_name(self, words: _Words, start: int) -> tuple[int, str]:
        """Where the longest name that begins at a word ends, and its key: of all words, or without those that may stand
        inside a name.
        """
        own_end, own_key = self._lexicon.longest_own_name(words.texts, start, WITHIN_OWN)
        count = self._lexicon.longest_name(words.texts, start)
        end, name_key = start + count, " ".join(words.texts[start : start + count])
        content_start = words.content_positions.get(start)
        if content_start is not None and len(words.content_texts) < len(words.texts):
            content_count = self._lexicon.longest_name(words.content_texts, content_start)
            if content_count:
                content_end = words.content_indices[content_start + content_count - 1] + 1
                if content_end > end:
                    end = content_end
                    name_key = " ".join(words.content_texts[content_start : content_start + content_count])
        return (own_end, own_key) if own_end > end else (end, name_key)

    def _add_joined(
        self,
        words: _Words,
        index: int,
        name_words: list[str],
        named: Candidate,
        is_after: bool,
        text_tokens: Sequence[Token],
        mentions: list[Mention],
        first_mention: int,
    ) -> bool:
        """Add the word at `index`, next to a name or joined to it by "and", where it makes the name of another concept
        with a part of that one: "pleural and pericardial effusions", "tortuous calcified aorta". Returns whether it
        does.
        """
        word = words.texts[index]
        if word in name_words:
            return False
        if is_after and self._longest_name(words, index)[0] > index + 1:
            return False
        for count in range(len(name_words) - 1, 0, -1):
            parts = [*name_words[:count], word] if is_after else [word, *name_words[-count:]]
            candidates = self._rank(" ".join(parts), False)
            if not candidates or candidates[0].cui == named.cui or candidates[0].is_anatomy != named.is_anatomy:
                continue
            joined = _mention(words.phrase, index, index + 1, candidates, text_tokens)._replace(is_part=True)
            if not is_after and len(mentions) > first_mention and mentions[-1].end > joined.start:
                if mentions[-1].start != joined.start:
                    return False
                mentions.pop()
            mentions.append(joined)
            return True
        return False

    @lru_cache(maxsize=100_000)  # noqa: B019  a tagger lives as long as its process
    def _rank(self, name_key: str, is_mended: bool) -> tuple[Candidate, ...]:
        """The concepts of that key, the likeliest first: by how close the name is, then how common the concept."""
        best_by_cui: dict[str, tuple[tuple[float, float], LexiconEntry]] = {}
        for entry in self._lexicon.entries(name_key):
            concept = entry.concept
            if not self._allowed(concept.types):
                continue
            closeness = (BY_NAME if key(concept.name) == name_key else BY_SYNONYM) - (MENDED if is_mended else 0.0)
            merit = closeness, concept.weight
            if concept.cui not in best_by_cui or best_by_cui[concept.cui][0] < merit:
                best_by_cui[concept.cui] = merit, entry
        ranked_entries = sorted(
            sorted(best_by_cui.values(), key=lambda merit_entry: merit_entry[1].concept.cui),
            key=lambda merit_entry: merit_entry[0],
            reverse=True,
        )
        return tuple(
            Candidate(
                entry.concept.cui,
                self._lexicon.preferred[entry.concept.cui],
                closeness,
                entry.concept.types,
                entry.concept.organ,
                entry.alias,
            )
            for (closeness, _), entry in ranked_entries[:MAX_CANDIDATES]
        )


class _Words:
    """The words of a phrase for looking up names: all, and without those that may stand inside a name."""

    def __init__(self, phrase: Sequence[Word], texts: list[str], mended_indices: frozenset[int]) -> None:
        self.phrase = phrase
        self.texts = texts
        self._mended_indices = mended_indices
        self.content_indices = [index for index, text in enumerate(texts) if text not in SKIPPED_WITHIN]
        self.content_texts = [texts[index] for index in self.content_indices]
        self.content_positions = {index: position for position, index in enumerate(self.content_indices)}

    def is_mended(self, start: int, end: int) -> bool:
        """Whether a typo was corrected in one of these words."""
        return not self._mended_indices.isdisjoint(range(start, end))


def _mention(
    phrase: Sequence[Word], start: int, end: int, candidates: tuple[Candidate, ...], text_tokens: Sequence[Token]
) -> Mention:
    """The mention of the words from `start` up to `end`."""
    return Mention(text_tokens[phrase[start].token].start, text_tokens[phrase[end - 1].token].end, candidates)


def dictionary(lexicon: Lexicon, allowed: Callable[[tuple[str, ...]], bool], argument: str = "") -> DictionaryTagger:
    """The tagger of the entry point ``dictionary``; with the argument ``exact``, typos are not mended.

    Raises `UsageError` for another argument.
    """
    if argument not in ("", "exact"):
        raise UsageError("the dictionary tagger has no such argument", "Use dictionary, or dictionary:exact.")
    return DictionaryTagger(lexicon, allowed, approximate=argument != "exact")


def _is_complete(phrase: Sequence[Word], name_start: int, name_end: int) -> bool:
    """Whether no word of an abbreviation that was written out is left before or after."""
    return (name_start == 0 or phrase[name_start - 1].token != phrase[name_start].token) and (
        name_end == len(phrase) or phrase[name_end - 1].token != phrase[name_end].token
    )
