"""What a report says of a finding in addition to its stance: side, location, severity, size, change, acuity.

The words are in `attribute_words.tsv`. Neighbouring words make a group ("small left basilar"). A group describes

1. the finding whose noun phrase it is in ("small left [effusion]"), or whose name it is a part of;
2. else the finding before it in the clause, and those joined to that one by "and" ("[atelectasis] and [effusion] at the
   left base", "the [effusion] is small");
3. else, for side, location and change, the findings after it ("in the left lung there is a [nodule]").

Anatomy is described by nothing: it is what others are located at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from kgplatform.construct.attribute_sizes import Size, sizes
from kgplatform.construct.attribute_table import ANY_WORDS, MAX_ANY, Attribute, Phrase, phrases_by_word
from kgplatform.construct.attribute_values import Values
from kgplatform.construct.text import MAX_REMEMBERED, SENTENCES, sentences, tokenize_text

MAX_GAP: Final = 4  # other words between a describing word and its finding
MAX_LOOSE_GAP: Final = 8  # words between a word of change and its finding: "there has been interval improvement in …"
_SIDES: Final = frozenset(["left", "right", "that", "other", "contralateral"])
# Before these words a describing word is a part of another name: "small bowel", "basal ganglia", "base of the skull".
_OTHER_MEANING: Final = frozenset(["bowel", "vessel", "vessels", "intestine", "airway", "airways", "ganglia", "cell"])
_BREAKS: Final = frozenset([";", ":", ".", "but", "however", "although", "whereas", "while", "?", "!"])
# Words of a group, or between it and its finding, that say nothing.
_FILLERS: Final = frozenset(
    "the a an and or to / - , sided side aspect aspects portion portions region regions area areas part parts of "  # noqa: SIM905
    "his her this these that those greater more than less than".split()
)
_ARTICLES: Final = frozenset("the a an his her this these that those any some".split())  # noqa: SIM905
# Words that end a noun phrase: a describing word before them is not about what follows.
_BLOCKING: Final = frozenset(
    "in at on of within from to by for along over under near above below with without and or nor is are was were be "  # noqa: SIM905
    "been has have had may might could can likely possibly probably concerning suspicious compatible consistent due "
    "secondary related versus vs which that there no not seen noted identified demonstrated present visualized remains "
    "remain appears appear represents represent suggests suggest suggesting representing shows show demonstrates "
    "demonstrate indicating indicates reflects reflecting causing obscuring overlying involving extending measuring "
    "compared since following , ; : . ( ) ? ! than as if".split()
)
_SITE: Final = (Attribute.SIDE, Attribute.LOCATION)  # not shared with a joined finding that has its own
_ORGANS: Final = {  # locations that an organ's findings have by their names
    "lung": ("lung",),
    "pleura": ("pleura", "lung"),
    "heart": ("heart",),
    "vessel": ("aorta", "heart", "lung"),
    "mediastinum": ("mediastinum",),
    "diaphragm": ("diaphragm",),
    "spine": ("spine",),
}
_AMOUNTS: Final = frozenset(  # "a small amount of", "a patchy area of"
    "area areas amount amounts focus foci volume degree component components patch patches band bands size".split()  # noqa: SIM905
)
_EXPLAINS: Final = re.compile(
    r"\b(?:represent\w*|reflect\w*|concerning|consistent|compatible|suggest\w*|suspicious|worrisome|versus|vs|or|likely"
    r"|probabl[ey]|possibl[ey]|favor\w*|indicat\w*|thought|felt|secondary to|due to|related to)\b|/",
    re.IGNORECASE,
)
_ENDS: Final = re.compile(r"[.;:]|\b(?:but|however|no|not|without|with)\b", re.IGNORECASE)
_JOINING: Final = frozenset([",", "and", "or", "/", "versus", "vs", "with", "&"])
_DENIALS: Final = frozenset(["no", "not", "without", "never"])
_CHANGED: Final = frozenset(["worse", "better"])


class Described(NamedTuple):
    """A mention for which attributes are wanted: its characters, whether it is a finding, the words of its concept's
    name, which are no attributes ("left ventricular enlargement"), and its organ, which is no location of it.
    """

    start: int
    end: int
    is_finding: bool
    name_words: frozenset[str]
    organ: str = ""


class _Group(NamedTuple):
    """Neighbouring describing words: their phrases, and the words from `first` up to `last`."""

    phrases: list[Phrase]
    first: int
    last: int


def describe(text: str, mentions: Sequence[Described]) -> list[Values]:
    """The attributes of each mention of a text; mentions are in order and do not overlap."""
    described: list[Values] = []
    first = 0
    for start, end in sentences(text):
        last = first
        while last < len(mentions) and mentions[last].start < end:
            last += 1
        if last > first:
            relative = tuple(
                [
                    Described(mention.start - start, mention.end - start, *mention[2:])
                    for mention in mentions[first:last]
                ]
            )
            describe_sentence = _describe_sentence if end - start <= MAX_REMEMBERED else _describe
            described.extend(describe_sentence(text[start:end], relative))
        first = last
    return described


@lru_cache(maxsize=SENTENCES)
def _describe_sentence(text: str, mentions: tuple[Described, ...]) -> tuple[Values, ...]:
    return _describe(text, mentions)


def forget_sentences() -> None:
    """Forget what was made of sentences, for measuring."""
    _describe_sentence.cache_clear()


def _describe(text: str, mentions: tuple[Described, ...]) -> tuple[Values, ...]:
    """The attributes of the mentions of a sentence."""
    values: tuple[dict[Attribute, list[Any]], ...] = tuple({} for _ in mentions)
    if any(mention.is_finding for mention in mentions):
        _Sentence(text, mentions, values).describe()
    return values


class _Sentence:
    """A sentence with its findings, whose attributes it fills in."""

    def __init__(self, text: str, mentions: Sequence[Described], values: Sequence[dict[Attribute, list[Any]]]) -> None:
        self._text = text
        self._mentions = mentions
        self._values = values
        self._words = tokenize_text(text)
        self._mention_at: list[int] = self._mentions_by_word()  # for each word the mention that it is in, or -1

    def _mentions_by_word(self) -> list[int]:
        mention_at = []
        number = 0
        for word in self._words:
            while number < len(self._mentions) and self._mentions[number].end <= word.start:
                number += 1
            inside = number < len(self._mentions) and self._mentions[number].start <= word.start
            mention_at.append(number if inside else -1)
        return mention_at

    def describe(self) -> None:
        """Find the groups of describing words and give each to its findings."""
        for group in self._groups():
            for joined, number in enumerate(self._described_by(group)):
                has_site = joined and not self._values[number].keys().isdisjoint(_SITE)
                for phrase, following in zip_longest(group.phrases, group.phrases[1:]):
                    if not _is_degree_of_change(phrase, following) and not (has_site and phrase.attribute in _SITE):
                        self._add(number, self._unless_denied(phrase, group))
        self._inherit()
        for size in sizes(self._text):
            self._add_size(size)

    def _groups(self) -> list[_Group]:
        words, phrases_of = self._words, phrases_by_word()
        groups: list[_Group] = []
        index = 0
        while index < len(words):
            phrases, last = self._phrases_at(index) if words[index].text in phrases_of else ([], index + 1)
            own_mention = self._mention_at[index]
            if phrases and own_mention >= 0 and self._mentions[own_mention].is_finding:
                for phrase in phrases:
                    if not _is_in_name(phrase, words[index].text, self._mentions[own_mention]):
                        self._add(own_mention, phrase)
            elif phrases and groups and self._continues(groups[-1], index):
                groups[-1].phrases.extend(phrases)
                groups[-1] = groups[-1]._replace(last=last)
            elif phrases:
                groups.append(_Group(phrases, index, last))
            index = last
        return groups

    def _phrases_at(self, index: int) -> tuple[list[Phrase], int]:
        """The longest phrases that begin with the word, and where they end: "bibasilar" states side and location."""
        phrases: list[Phrase] = []
        end = index + 1
        following = self._words[index + 1].text if end < len(self._words) else ""
        is_base_of = following == "of" and self._words[index].text in ("base", "bases")
        if following in _OTHER_MEANING or is_base_of or (index and self._words[index - 1].text == "too"):
            return [], end
        for phrase in phrases_by_word()[self._words[index].text]:
            if phrases and len(phrase.words) < len(phrases[0].words):
                break
            last = self._match(phrase.words, index)
            if last is not None and not self._compares_sides(phrase, last):
                phrases.append(phrase)
                end = last
        return phrases, end

    def _compares_sides(self, phrase: Phrase, last: int) -> bool:
        """Whether the words compare left and right, and not with the prior study: "larger than the left"."""
        following = [word.text for word in self._words[last : last + 5]]
        return phrase.attribute is Attribute.CHANGE and following[:1] == ["than"] and not _SIDES.isdisjoint(following)

    def _match(self, phrase_words: Sequence[str], index: int) -> int | None:
        """Where the words end that begin at `index` and are the phrase; None where they are not."""
        words = self._words
        for position, phrase_word in enumerate(phrase_words):
            if phrase_word == ANY_WORDS:
                later_words = phrase_words[position + 1 :]
                for skipped in range(1, MAX_ANY + 1):
                    last = self._match(later_words, index + skipped)
                    if last is not None:
                        return last
                return None
            if index >= len(words) or words[index].text != phrase_word:
                return None
            index += 1
        return index

    def _continues(self, group: _Group, index: int) -> bool:
        """Whether only words that say nothing are between the group and the word at `index`."""
        between = self._words[group.last : index]
        return len(between) <= MAX_GAP and all(
            word.text in _FILLERS and self._mention_at[group.last + offset] < 0 for offset, word in enumerate(between)
        )

    def _described_by(self, group: _Group) -> list[int]:
        """The findings that a group is about."""
        following = self._in_noun_phrase(group)
        if following is not None:
            return [following]
        if all(phrase.attribute is Attribute.ACUITY for phrase in group.phrases):
            return []
        preceding = self._before(group.first)
        if preceding:
            return preceding
        if any(phrase.attribute is Attribute.CHANGE for phrase in group.phrases):
            return self._after(group.last, MAX_LOOSE_GAP)[:1]
        if all(phrase.attribute in (Attribute.SIDE, Attribute.LOCATION) for phrase in group.phrases):
            return self._after(group.last, len(self._words))
        return []

    def _in_noun_phrase(self, group: _Group) -> int | None:
        has_change = any(phrase.attribute is Attribute.CHANGE for phrase in group.phrases)
        others = 0
        for index in range(group.last, len(self._words)):
            mention = self._mention_at[index]
            text = self._words[index].text
            if mention >= 0:
                if self._mentions[mention].is_finding:
                    return mention
                continue  # anatomy within the noun phrase: "left lower lobe [pneumonia]"
            if text in _ARTICLES or text in _AMOUNTS or text == "-" or text == "/":
                continue
            if text == "of" and index and self._words[index - 1].text in _AMOUNTS:
                continue
            if has_change and text in ("in", "of") and index == group.last:
                continue
            others += 1
            if text in _BLOCKING or text in _BREAKS or others > MAX_GAP:
                return None
        return None

    def _before(self, first: int) -> list[int]:
        """The finding before the word, and those joined to it."""
        preceding: list[int] = []
        expected = -1
        for index in range(first - 1, -1, -1):
            mention, text = self._mention_at[index], self._words[index].text
            if text in _BREAKS and not (text == ":" and index and self._mention_at[index - 1] >= 0):
                break  # "Effusion: small" is about the effusion
            if mention >= 0 and self._mentions[mention].is_finding:
                if not preceding or (mention == preceding[-1] - 1 and expected == mention):
                    preceding.append(mention)
                    expected = -1
                elif mention != preceding[-1]:
                    break
            elif preceding and text in _JOINING and (text != "," or len(preceding) > 1):
                expected = preceding[-1] - 1  # of a list, the last two are joined by "and"
            elif preceding and text in _BLOCKING:
                break
        return preceding

    def _after(self, last: int, limit: int) -> list[int]:
        """The findings after the word, up to the end of the clause."""
        numbers: list[int] = []
        for index in range(last, min(len(self._words), last + limit)):
            mention = self._mention_at[index]
            if self._words[index].text in _BREAKS or self._words[index].text == "without":
                break
            if mention >= 0 and self._mentions[mention].is_finding and mention not in numbers:
                numbers.append(mention)
        return numbers

    def _inherit(self) -> None:
        """Let a diagnosis be where the finding is that it explains: "left basilar [opacity], likely [atelectasis]"."""
        for number in range(1, len(self._mentions)):
            previous, values = self._values[number - 1], self._values[number]
            if not self._mentions[number].is_finding or not self._mentions[number - 1].is_finding:
                continue
            if not values.keys().isdisjoint(_SITE):
                continue
            between = self._text[self._mentions[number - 1].end : self._mentions[number].start]
            if _EXPLAINS.search(between) is not None and _ENDS.search(between) is None:
                for attribute in _SITE:
                    if attribute in previous:
                        values[attribute] = list(previous[attribute])

    def _unless_denied(self, phrase: Phrase, group: _Group) -> Phrase:
        """The phrase; "no increase" and "not worse" state no change."""
        if phrase.attribute is not Attribute.CHANGE or phrase.value not in _CHANGED:
            return phrase
        before = [word.text for word in self._words[max(0, group.first - 2) : group.first]]
        return phrase if _DENIALS.isdisjoint(before) else phrase._replace(value="unchanged")

    def _add(self, number: int, phrase: Phrase) -> None:
        if phrase.attribute is Attribute.LOCATION and phrase.value in _ORGANS.get(self._mentions[number].organ, ()):
            return  # the lung is no location of what is in the lung by its name
        values = self._values[number].setdefault(phrase.attribute, [])
        if phrase.value not in values:
            values.append(phrase.value)

    def _add_size(self, size: Size) -> None:
        """Give a size to the finding after it in its noun phrase, or to the one before it."""
        index = next((index for index, word in enumerate(self._words) if word.start >= size.start), None)
        if index is None:
            return
        last = next((i for i in range(index, len(self._words)) if self._words[i].start >= size.end), len(self._words))
        group = _Group([], index, last)
        following = self._in_noun_phrase(group)
        numbers = [following] if following is not None else self._before(index)[:1]
        if numbers:
            self._values[numbers[0]].setdefault(Attribute.SIZE, []).append(size.mm)


def _is_degree_of_change(phrase: Phrase, following: Phrase | None) -> bool:
    """Whether the phrase says how much the finding changed, and not how severe it is: "slightly improved"."""
    return (
        phrase.attribute is Attribute.SEVERITY
        and following is not None
        and following.attribute is Attribute.CHANGE
        and phrase.words[0].endswith("ly")
    )


def _is_in_name(phrase: Phrase, word: str, mention: Described) -> bool:
    """Whether a word within a mention is a part of the concept's name; a location may be."""
    return phrase.attribute is not Attribute.LOCATION and word in mention.name_words
