"""Stage II by rules: whether a report says that a concept is shown, ruled out or left open (MedMKG §3.3).

An engine after ConText (Harkema et al. 2009) whose triggers are patterns of words, not literal strings. The rules are
in `stance_rules.tsv`, with an example for each. In each sentence

1. mentions become single words, and clauses are parted (`clauses`);
2. every rule that matches somewhere takes part; one that lies within another's words does not: "not" says nothing by
   itself in "not excluded". Rules that only overlap both count;
3. a rule reaches the mentions on its side up to the end of the clause;
4. of the rules that reach a mention, one about another time or patient counts before one that rules out, and that one
   before one that leaves open. A mention that no rule reaches is shown.

Anatomy is never ruled out or left open: "no nodule in the left lung" says nothing against the lung.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from kgplatform.construct.clauses import (
    ClauseWords,
    SentenceWord,
    bracket_depths,
    clause_ends,
    is_mention,
    sentence_words,
)
from kgplatform.construct.judgement import Cue, Decision, Judgement, Tagged, Verdict
from kgplatform.construct.lexicon import key
from kgplatform.construct.rule_table import (
    FINDING,
    FIRST_MENTION,
    MAX_MENTIONS,
    Effect,
    RuleTable,
    StanceRule,
    first_word_index,
    read_rules,
)
from kgplatform.construct.senses import clear_sense, clear_senses
from kgplatform.construct.tagger import Mention, is_anatomy
from kgplatform.construct.text import MAX_REMEMBERED, SENTENCES, sentences
from kgplatform.schema import History, Stance

MAX_PHRASES: Final = 100_000  # of which it is remembered whether they name a finding
NOT_WITHIN: Final = "not within"  # the rule's name where the mention itself has a "not"
MIN_DENIAL: Final = 9  # characters of the shortest mention with a "not"
MAX_COLUMN: Final = 100  # of a sentence's start: longer lines are long lines


def _effects(*words: str) -> frozenset[Effect]:
    """The effects that have one of these words in their name."""
    return frozenset(effect for effect in Effect if not set(words).isdisjoint(effect.value.split()))


_ABSENT: Final = _effects("absent")
_UNCERTAIN: Final = _effects("uncertain", "alternatives")
_HISTORY: Final = {
    Effect.HISTORY_AFTER: History.HISTORY,
    Effect.FAMILY_HISTORY_AFTER: History.FAMILY_HISTORY,
}
_OTHER: Final = _effects("other") | _HISTORY.keys()
_AFTER: Final = _effects("after", "around", "comma")
_BEFORE: Final = _effects("before", "around")
_WITHIN: Final = _effects("within", "alternatives")
_DECIDING: Final = frozenset(Effect) - {Effect.BOUNDARY, Effect.NOTHING, Effect.NO_FINDING}
_JOINING: Final = frozenset({"or", "and", "nor", "/"})
_RELATIVE: Final = frozenset({"which", "that", "who"})  # they part clauses, but refer to what stands right before
_RANK: Final = {
    **dict.fromkeys(Effect, 3),
    **dict.fromkeys(_OTHER, 0),
    **dict.fromkeys(_ABSENT, 1),
    **dict.fromkeys(_UNCERTAIN, 2),
    Effect.ALTERNATIVES: 4,
}  # of several rules that reach a mention the first counts


class _Match(NamedTuple):
    """A rule and the words that it matches, from `start` up to `end`."""

    rule: StanceRule
    number: int  # of the rule in the table
    start: int
    end: int


class _Phrase(NamedTuple):
    """A mention as characters of its sentence."""

    start: int
    end: int
    is_part: bool
    is_anatomy: bool


class _Sentence(NamedTuple):
    """A sentence: its words, their texts, which of them part clauses, and how many brackets each is in."""

    words: Sequence[SentenceWord]
    texts: Sequence[str]
    ends: list[bool]
    depths: Sequence[int]

    def is_parted(self, first: int, last: int, between: Iterable[int]) -> bool:
        """Whether one of the words between parts a clause; words in brackets do not."""
        depth = max(self.depths[min(first, len(self.depths) - 1)], self.depths[last])
        return any(self.ends[index] and self.depths[index] <= depth for index in between)


class Rules:
    """A table of rules, ready to decide."""

    concurrency = 1  # it computes, so threads do not help

    def __init__(self, table: RuleTable) -> None:
        """Index the rules by their first words."""
        self.table = table
        described_rules = [(rule.name, rule.effect.value, rule.matcher.pattern) for rule in table.rules]
        self.name = f"rules {hashlib.sha256(repr(described_rules).encode()).hexdigest()[:12]}"
        self._rules_by_word = first_word_index(rule for rule in table.rules if rule.effect is not Effect.NO_FINDING)
        self._mention_rules = self._rules_by_word.pop(FINDING, ())
        self._neutral_phrases: dict[str, bool] = {}
        self._numbers = {rule.name: number for number, rule in enumerate(table.rules)}
        self._clause_words = ClauseWords.from_classes(table.classes)
        self._no_findings = frozenset(
            key(word) for rule in table.rules if rule.effect is Effect.NO_FINDING for word in _words_of(rule, table)
        )

    def decide(self, sections: Sequence[Tagged]) -> Verdict:
        """A decision for each mention of each section of a report."""
        clear = clear_senses(mention for _, _, mentions in sections for mention in mentions)
        return Verdict(
            self.name,
            [
                Judgement(section, mention, _with_sense(decision, clear_sense(mention, clear)))
                for section, section_text, mentions in sections
                for mention, decision in zip(mentions, self.stances(section_text, mentions), strict=True)
            ],
        )

    def stances(self, text: str, mentions: Sequence[Mention]) -> list[Decision]:
        """A decision for each mention of the text; mentions are in order."""
        decisions: list[Decision] = []
        first = 0
        for start, end in sentences(text):
            last = first
            while last < len(mentions) and mentions[last].start < end:
                last += 1
            if last == first:
                continue
            sentence = text[start:end]
            phrases = tuple(
                [
                    _Phrase(mention.start - start, mention.end - start, mention.is_part, is_anatomy(mention))
                    for mention in mentions[first:last]
                ]
            )
            column = min(start - text.rfind("\n", 0, start) - 1, MAX_COLUMN) if "\n" in sentence else 0
            decide = self._in_sentence if len(sentence) <= MAX_REMEMBERED else self._decide
            decisions += [_moved(decision, start) for decision in decide(sentence, phrases, column)]
            first = last
        return decisions

    @lru_cache(maxsize=SENTENCES)  # noqa: B019  a table of rules lives as long as its process
    def _in_sentence(self, text: str, phrases: tuple[_Phrase, ...], column: int) -> tuple[Decision, ...]:
        return self._decide(text, phrases, column)

    def _decide(self, text: str, phrases: Sequence[_Phrase], column: int) -> tuple[Decision, ...]:
        """The decisions in a sentence that begins at that column of its line; cues are characters of the sentence."""
        is_neutral = [not phrase.is_part and self._is_neutral(text[phrase.start : phrase.end]) for phrase in phrases]
        named = [phrase for phrase, neutral in zip(phrases, is_neutral, strict=True) if not neutral]
        words = sentence_words(text, named, column)
        matches = self._matches([word.text for word in words])
        decisions = iter(self._named_decisions(text, named, words, matches))
        return tuple(Decision(None) if neutral else next(decisions) for neutral in is_neutral)

    def _named_decisions(
        self, text: str, phrases: Sequence[_Phrase], words: Sequence[SentenceWord], matches: Sequence[_Match]
    ) -> Iterator[Decision]:
        denials = [_denial_within(text, phrase) for phrase in phrases]
        if not any(match.rule.effect in _DECIDING for match in matches):
            yield from (denial or Decision(Stance.POSITIVE) for denial in denials)
            return
        sentence = self._with_clauses(text, words, matches)
        positions = {
            ord(word_text) - FIRST_MENTION: position
            for position, word_text in enumerate(sentence.texts)
            if is_mention(word_text)
        }
        for number, (phrase, denial) in enumerate(zip(phrases, denials, strict=True)):
            position = positions.get(number % MAX_MENTIONS)
            if denial is not None:
                yield denial
            elif position is None:
                yield Decision(Stance.POSITIVE)
            else:
                yield _decision(phrase.is_anatomy, position, matches, sentence)

    def _with_clauses(self, text: str, words: Sequence[SentenceWord], matches: Sequence[_Match]) -> _Sentence:
        """The sentence of these words, with the ends of its clauses."""
        texts = [word.text for word in words]
        verbs = self._clause_words.verbs
        has_verb = [
            is_mention(word.text) and not verbs.isdisjoint(text[word.start : word.end].lower().split())
            for word in words
        ]
        has_predicate = [
            is_mention(word.text) and _PREDICATE.fullmatch(text, word.start, word.end) is not None for word in words
        ]
        ends = clause_ends(texts, self._clause_words, has_verb, has_predicate)
        for match in matches:
            if match.rule.effect is Effect.BOUNDARY:
                ends[match.start] = True
        return _Sentence(words, texts, ends, bracket_depths(texts))

    def _is_neutral(self, phrase: str) -> bool:
        """Whether the phrase alone names no finding."""
        is_neutral = self._neutral_phrases.get(phrase)
        if is_neutral is None:
            is_neutral = key(phrase) in self._no_findings
            if len(self._neutral_phrases) < MAX_PHRASES:
                self._neutral_phrases[phrase] = is_neutral
        return is_neutral

    def _matches(self, word_texts: Sequence[str]) -> list[_Match]:
        """The rules that match the sentence, without those within the words of another one."""
        offsets, position_at, length = [], {}, 0
        for position, word_text in enumerate(word_texts):
            offsets.append(length)
            position_at[length] = position
            length += len(word_text) + 1
        position_at[length] = len(word_texts)
        sentence = " ".join(word_texts) + " "
        matches: list[_Match] = []
        for position, word_text in enumerate(word_texts):
            word_rules = self._mention_rules if is_mention(word_text) else self._rules_by_word.get(word_text, ())
            for rule in word_rules:
                pattern_match = rule.matcher.match(sentence, offsets[position])
                if pattern_match is not None:
                    match_end = position_at[pattern_match.end()]
                    matches.append(_Match(rule, self._numbers[rule.name], position, match_end))
        return [match for match in matches if not any(_covers(other, match) for other in matches)]


def _decision(is_anatomy: bool, position: int, matches: Sequence[_Match], sentence: _Sentence) -> Decision:
    reaching = [match for match in matches if _reaches(match, position, sentence)]
    if is_anatomy:
        reaching = [match for match in reaching if match.rule.effect in _OTHER]
    if not reaching:
        return Decision(Stance.POSITIVE)
    match = min(
        reaching,
        key=lambda match: (_RANK[match.rule.effect], match.start - match.end, -match.number),
    )
    cue_words = _cue_words(match, position, sentence.texts)
    cue = Cue(match.rule.name, sentence.words[cue_words[0]].start, sentence.words[cue_words[-1]].end)
    history = None if is_anatomy else _HISTORY.get(match.rule.effect)
    return Decision(_stance(match.rule.effect), cue, 0, history)


def _cue_words(match: _Match, position: int, texts: Sequence[str]) -> range:
    """The words of a match that decide about the mention at that position: without the mention, where the pattern holds
    it. "no" in "effusion: no.", "absent" in "absent effusion".
    """
    for part in (range(position + 1, match.end), range(match.start, position)):
        decisive = [index for index in part if is_mention(texts[index]) or any(map(str.isalnum, texts[index]))]
        if match.start <= position < match.end and decisive:
            return range(decisive[0], decisive[-1] + 1)
    return range(match.start, match.end)


def _covers(other: _Match, match: _Match) -> bool:
    """Whether the words of `match` are a part of the other's, which then counts in its place. Of two rules for the same
    words the later one of the table counts.
    """
    if (
        other is match
        or other.rule.effect is Effect.BOUNDARY
        or not (other.start <= match.start and match.end <= other.end)
    ):
        return False
    return other.end - other.start > match.end - match.start or other.number > match.number


def _reaches(match: _Match, position: int, sentence: _Sentence) -> bool:
    """Whether the rule says something of the mention at that position."""
    effect = match.rule.effect
    if match.start <= position < match.end:
        return effect in _WITHIN
    if effect in _AFTER and match.end <= position:
        # A mark right after the rule's words introduces what they are about: "negative for: nodule".
        first = match.end + 1 if match.end < position and sentence.texts[match.end] == ":" else match.end
        if effect is Effect.OTHER_UNTIL_COMMA and "," in sentence.texts[first:position]:
            return False
        return not sentence.is_parted(match.end, position, range(first, position))
    if effect in _BEFORE and position < match.start:
        if effect is Effect.UNCERTAIN_BEFORE and _is_list_without_end(sentence.texts[position + 1 : match.start]):
            return False
        between = (
            index
            for index in range(position + 1, match.start)
            if not (sentence.texts[index] in _RELATIVE and index <= position + 2)
        )
        return not sentence.is_parted(position, match.start, between)
    return False


def _is_list_without_end(words: Sequence[str]) -> bool:
    """Whether a comma without "or" or "and" stands between: "edema, [pneumonia] not excluded" leaves the edema."""
    return "," in words and _JOINING.isdisjoint(words)


def _stance(effect: Effect) -> Stance | None:
    if effect in _OTHER:
        return None
    if effect in _ABSENT:
        return Stance.NEGATIVE
    return Stance.UNCERTAIN if effect in _UNCERTAIN else Stance.POSITIVE


_PREDICATE: Final = re.compile(r"\w+(?: \w+)* \w+ed", re.IGNORECASE)  # "heart enlarged"
_NOT: Final = re.compile(r"\bnot\b", re.IGNORECASE)


def _denial_within(text: str, mention: _Phrase) -> Decision | None:
    """What a "not" within the mention says: the heart "is not enlarged"."""
    if mention.end - mention.start < MIN_DENIAL:
        return None
    denial = _NOT.search(text, mention.start, mention.end)
    return None if denial is None else Decision(Stance.NEGATIVE, Cue(NOT_WITHIN, denial.start(), denial.end()))


def _words_of(rule: StanceRule, table: RuleTable) -> tuple[str, ...]:
    return table.classes.get(rule.pattern.strip("{}"), (rule.pattern,))


def _moved(decision: Decision, start: int) -> Decision:
    """The decision with its cue as characters of the text whose sentence begins at `start`."""
    cue = decision.cue
    if cue is None or not start:
        return decision
    return Decision(decision.stance, Cue(cue.rule, cue.start + start, cue.end + start), 0, decision.history)


def _with_sense(decision: Decision, candidate_index: int) -> Decision:
    """The decision on that candidate of the mention."""
    return decision._replace(chosen=candidate_index) if candidate_index else decision


@cache
def rules() -> Rules:
    """The platform's own rules."""
    table_text = files("kgplatform.construct").joinpath("stance_rules.tsv").read_text(encoding="utf-8")
    return Rules(read_rules(table_text, "stance_rules.tsv"))
