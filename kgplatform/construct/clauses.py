"""The words of a sentence as the rules of stance read them, and where its clauses end.

Contractions are written out ("isn't" and "isnt" as "is not"), hyphens within words part them, and each mention is one
word. A clause ends at a mark (a semicolon, a colon, a dash, a bracket, a line that begins with a capital), and at a
comma or an "and" before a clause with a verb, or before an adjective that begins a new finding ("no effusion, mild
edema").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from kgplatform.construct.rule_table import FIRST_MENTION, MAX_MENTIONS

_APOSTROPHES: Final = "'’‘`´ʼ′"
# A shorthand, a word with what follows its apostrophe, an arrow, a number, a dash, one other mark.
_TOKEN: Final = re.compile(
    rf"(?<![a-z])(?:w/o(?:ut)?|w/)(?![a-z])|(?<!\w)[-+]ve\b|[^\W\d_]+(?:[{_APOSTROPHES}][a-z]+)?|-+>|→"
    r"|\d+(?:[.,]\d+)*|--+|[^\w\s]|\n|_+",
    re.IGNORECASE,
)
_SHORTHAND: Final = {
    "w/": "with",
    "w/o": "without",
    "w/out": "without",
    "-ve": "negative",
    "+ve": "positive",
    "&": "and",
    "→": "—",
}
_ABBREVIATED: Final = frozenset(["vs", "v", "neg", "poss", "prob", "susp", "approx"])  # often with a full stop
_NOT_CONTRACTED: Final = re.compile(rf"(.+)(?:n[{_APOSTROPHES}]t|[{_APOSTROPHES}]nt)")
_IS_CONTRACTED: Final = re.compile(rf"(there|that|it|here|what|this)[{_APOSTROPHES}]s")
_SHORT_LINE: Final = 50  # characters of a line in capitals that was not wrapped
_IRREGULAR_AUXILIARIES: Final = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
_AUXILIARIES: Final = (
    "is", "are", "was", "were", "has", "have", "had", "do", "does", "did", "could", "would", "should", "must", "might",
    "need",
)  # fmt: skip
_WITHOUT_APOSTROPHE: Final = {f"{auxiliary}nt": auxiliary for auxiliary in _AUXILIARIES} | {
    "cant": "can",
    "wont": "will",
    "cannot": "can",
    "cannont": "can",
    "canot": "can",
}
_DASHES: Final = frozenset("–—")
_SIGNS: Final = {"-": "no", "+": "yes"}
_GENITIVE: Final = re.compile(rf"[{_APOSTROPHES}]s$")
_MONTHS: Final = frozenset(["May"])
_FULL_STOPS: Final = frozenset(".")
_LINE_BREAKS: Final = frozenset("\n")
_KEPT_MARKS: Final = frozenset(",;:()?./=[]!")
# Words after which a line break does not end a clause.
_OPEN: Final = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "may", "no", "nor", "not", "of", "on",
        "or", "than", "the", "to", "versus", "vs", "was", "were", "with", "without",
    }
)  # fmt: skip
_CONTINUING: Final = frozenset(["or", "nor", "including", "such", "eg"])  # a bracket that continues a list
_ARTICLES: Final = frozenset(["the", "a", "an"])
_NEGATIONS: Final = frozenset(["no", "not", "without", "never"])
_FIRST_CHARACTER: Final = chr(FIRST_MENTION)
_LAST_CHARACTER: Final = chr(FIRST_MENTION + MAX_MENTIONS - 1)
BREAK: Final = "—"  # a dash between clauses, or the start of a new line


class SentenceWord(NamedTuple):
    """A word of a sentence in the form that rules read, and the characters of the text that it comes from."""

    text: str
    start: int
    end: int


class Span(Protocol):
    """Characters of a text."""

    @property
    def start(self) -> int: ...  # noqa: D102

    @property
    def end(self) -> int: ...  # noqa: D102


def sentence_words(text: str, mentions: Sequence[Span], column: int = 0) -> list[SentenceWord]:
    """The words of a sentence, which begins at that column of its line. Mentions are single words, of private use."""
    words: list[SentenceWord] = []
    mention_number = 0
    last_mention_end = 0
    for token in _TOKEN.finditer(text):
        token_start, token_end = token.span()
        while mention_number < len(mentions) and mentions[mention_number].end <= token_start:
            mention_number += 1
        if mention_number < len(mentions) and mentions[mention_number].start <= token_start:
            if token_start >= last_mention_end:
                mention = mentions[mention_number]
                character = chr(FIRST_MENTION + mention_number % MAX_MENTIONS)
                words.append(SentenceWord(character, mention.start, mention.end))
                last_mention_end = mention.end
            continue
        token_text = token[0]
        if token_text.isalpha() and token_text not in _MONTHS:
            lower_token = token_text.lower()
            if lower_token not in _WITHOUT_APOSTROPHE:
                words.append(SentenceWord(lower_token, token_start, token_end))
                continue
        _add_token(words, token_text, token_start, token_end, text, column)
    return words


def _add_token(words: list[SentenceWord], token_text: str, start: int, end: int, text: str, column: int) -> None:
    lower_token = token_text.lower()
    if lower_token in _SHORTHAND:
        words.append(SentenceWord(_SHORTHAND[lower_token], start, end))
    elif token_text[0].isalpha():
        if token_text not in _MONTHS or not words:  # within a sentence that is the month
            words += (SentenceWord(plain_word, start, end) for plain_word in _plain_words(lower_token))
    elif token_text[0].isdigit():
        words.append(SentenceWord(token_text, start, end))
    elif token_text in _LINE_BREAKS:
        if words and words[-1].text not in _OPEN and _begins_line(text, start, end, column):
            words.append(SentenceWord(BREAK, start, end))
    elif token_text[:2] in ("--", "->") or token_text in _DASHES:
        words.append(SentenceWord(BREAK, start, end))
    elif token_text in _SIGNS:
        if text[start - 1 : start] == "(" and text[end : end + 1] == ")":
            words.append(SentenceWord(_SIGNS[token_text], start, end))  # "effusion (-)"
        elif (start == 0 or text[start - 1].isspace()) and (end == len(text) or text[end].isspace()):
            words.append(SentenceWord(BREAK, start, end))
    elif token_text in _FULL_STOPS and words and words[-1].text in _ABBREVIATED and end < len(text):
        return
    elif token_text in _KEPT_MARKS:
        words.append(SentenceWord({"[": "(", "]": ")", "!": "."}.get(token_text, token_text), start, end))


def _plain_words(word: str) -> tuple[str, ...]:
    """The word in lower case, with a contraction written out and without the ending of a genitive."""
    if (is_contracted := _IS_CONTRACTED.fullmatch(word)) is not None:
        return is_contracted[1], "is"
    contraction = _NOT_CONTRACTED.fullmatch(word)
    auxiliary = _WITHOUT_APOSTROPHE.get(word, "")
    if contraction is not None:
        auxiliary = _IRREGULAR_AUXILIARIES.get(contraction[1], contraction[1])
    return (auxiliary, "not") if auxiliary else (_GENITIVE.sub("", word),)


def _begins_line(text: str, start: int, end: int, column: int) -> bool:
    """Whether the line break is one that the writer made: before a capitalised word, or, in capitals, after a short
    line; another one only wraps the text.
    """
    following = text[end : end + 60].lstrip(" \t\n")
    if not following[:1].isupper():
        return False
    line_start = text.rfind("\n", 0, start)
    line_length = column + start if line_start < 0 else start - line_start - 1
    return following[1:2].islower() or line_length < _SHORT_LINE


def _may_end_clause(words: Sequence[str], position: int, clause_words: ClauseWords) -> bool:
    """Whether the words before the comma or "and" can be a clause: those before a comma have a mention or a verb ("no
    acute, displaced fracture" has none), those before "and" a verb or a negation ("tube and line have been removed" is
    a list).
    """
    preceding = words[:position]
    has_verb = any(word in clause_words.verbs or word in _NEGATIONS for word in preceding)
    if words[position] == "and":
        return has_verb
    return any(is_mention(word) or word in clause_words.verbs for word in preceding)


def is_mention(word: str) -> bool:
    """Whether a word of `sentence_words` stands for a mention."""
    return _FIRST_CHARACTER <= word <= _LAST_CHARACTER  # mentions are the only words of these characters


class ClauseWords(NamedTuple):
    """Word classes that clause ends are found by: verbs, those that can be nothing else, and adjectives that begin a
    new finding.
    """

    verbs: frozenset[str]
    finite_verbs: frozenset[str]
    openers: frozenset[str]

    @classmethod
    def from_classes(cls, classes: Mapping[str, tuple[str, ...]]) -> ClauseWords:
        """The classes `verb`, `finite` and `opener` of a table of rules."""
        return cls(*(frozenset(classes.get(name, ())) for name in ("verb", "finite", "opener")))


def bracket_depths(words: Sequence[str]) -> list[int]:
    """How many pairs of brackets each word is in; a bracket is in its own pair."""
    depths, depth = [], 0
    for word in words:
        if word == "(":
            depth += 1
        depths.append(depth)
        if word == ")" and depth:
            depth -= 1
    return depths


def clause_ends(
    words: Sequence[str], clause_words: ClauseWords, has_verb: Sequence[bool], has_predicate: Sequence[bool]
) -> list[bool]:
    """For each word, whether it parts two clauses. `has_verb` says of each word whether it is a mention that has a verb
    in it ("heart is enlarged"): it is a separate clause, as one that `has_predicate` ("heart enlarged") is right after
    another mention.
    """
    ends = [word in (";", ":", "(", ")", BREAK, "?", ".") for word in words]
    for position in range(len(words) - 1):
        if words[position] == "(" and words[position + 1] in _CONTINUING:
            ends[position] = False
    for position in range(1, len(words)):
        introduced = position > 1 and words[position - 2] in ("that", "whether", "if")
        if has_verb[position] and words[position - 1] in _ARTICLES and not introduced:
            ends[position - 1] = True  # "no pneumothorax the lungs are hyperinflated"
        if has_predicate[position] and is_mention(words[position - 1]):
            ends[position - 1] = True  # "no effusion heart enlarged"
    ends_of_list = _next_breaks(words, ends)
    for position, word in enumerate(words):
        if word == "," or (word == "and" and not (position and words[position - 1] == ",")):
            ends[position] = _begins_clause(words, position, ends_of_list[position], clause_words, has_verb)
    return ends


def _next_breaks(words: Sequence[str], ends: Sequence[bool]) -> list[int]:
    """For each word, where the next mark stands that parts clauses for certain."""
    next_break = len(words)
    positions = [0] * len(words)
    for position in range(len(words) - 1, -1, -1):
        positions[position] = next_break
        if ends[position]:
            next_break = position
    return positions


def _begins_clause(
    words: Sequence[str], position: int, list_end: int, clause_words: ClauseWords, has_verb: Sequence[bool]
) -> bool:
    """Whether a new clause begins after the comma or "and" at `position`."""
    start = position + 1
    if start < list_end and words[start] == "and":
        start += 1
    if start >= list_end or words[start] in ("or", "nor"):
        return False
    segment_end = next(
        (index for index in range(start, list_end) if words[index] == "," or (index > start and words[index] == "and")),
        list_end,
    )
    segment = words[start:segment_end]
    if not any(is_mention(word) for word in segment):
        return False
    if not _may_end_clause(words, position, clause_words):
        return False
    joins_alternatives = not {"or", "nor", "/"}.isdisjoint(words[start:list_end])
    if segment[0] in clause_words.openers and not joins_alternatives:
        return True
    if words[position] == "and" and segment[0] in ("a", "an", "the", "there"):
        return True
    seen_mention = False
    for index in range(start, segment_end):
        if has_verb[index]:
            return not joins_alternatives
        if is_mention(words[index]):
            seen_mention = True
        elif (seen_mention and words[index] in clause_words.verbs) or (
            index > start and words[index] in clause_words.finite_verbs
        ):
            return "or" not in words[start:index] and "nor" not in words[start:index]
        elif words[index] in ("or", "nor"):
            return False
    return False
