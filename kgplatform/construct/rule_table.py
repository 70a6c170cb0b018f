"""The table of rules of stance: word classes and patterns, each with an effect on findings and an example sentence.

A row has a name, an effect, a pattern and an example, in which the finding that the rule is about is in [brackets].
A pattern is made of

    word          this word
    {class}       a word (or words) of a class, which a row with the effect `words` defines
    FINDING       a mention of a concept
    WORD          any other word than `and`, `or`, `but` and the like
    NUMBER        a number
    END           the end of a clause, which the pattern does not take in
    "("           this mark, where the bare mark would mean something else
    (a | b)       a or b
    [a b]         a b, or nothing
    x?  x*        x or nothing; up to three times x, or nothing
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from kgplatform.errors import InputError

COLUMNS: Final = ("rule", "effect", "pattern", "example")
MAX_PATTERN: Final = 400  # characters
MAX_REPEATS: Final = 8  # parts of a pattern that may occur several times: more could take very long to match
MAX_DEPTH: Final = 4  # brackets within brackets
FINDING: Final = "[\ue000-\uf8ff]"  # a mention in a sentence as the engine writes it: one character of private use
FIRST_MENTION: Final = 0xE000
MAX_MENTIONS: Final = 0xF8FF - FIRST_MENTION + 1
_WORD: Final = r"(?!(?:and|or|nor|but|however|although|though|with|which|that|if|not|no|never|without) )[a-z]+"
_END: Final = (
    r"(?=(?:[.,;:)?—] |and |but |or |though |although |as |at |in |on |from |since |by |given |based |without |when "
    r"|so |because |$))"
)
_REPEATS: Final = {"?": "{0,1}", "*": "{0,3}"}
_ATOM: Final = re.compile(r'"[^"\s]+"|\{[a-z_]+\}|[()\[\]|?*]|[^\s()\[\]|?*{}"]+')
_CLASS_NAME: Final = re.compile(r"\{([a-z_]+)\}")
ANY: Final = "*"  # among first words: any word


class Effect(StrEnum):
    """What a rule does to findings: those after or before the matched words, within their clause, or those within the
    matched words themselves. Alternatives ("A or B") are left open unless another rule reaches them.
    """

    ABSENT_AFTER = "absent after"
    ABSENT_BEFORE = "absent before"
    ABSENT_WITHIN = "absent within"
    UNCERTAIN_AFTER = "uncertain after"
    UNCERTAIN_BEFORE = "uncertain before"
    UNCERTAIN_AROUND = "uncertain around"
    UNCERTAIN_WITHIN = "uncertain within"
    PRESENT_AFTER = "present after"
    PRESENT_BEFORE = "present before"
    PRESENT_WITHIN = "present within"
    OTHER_AFTER = "other after"
    OTHER_BEFORE = "other before"
    OTHER_UNTIL_COMMA = "other until comma"
    OTHER_WITHIN = "other within"
    HISTORY_AFTER = "history after"
    FAMILY_HISTORY_AFTER = "family history after"
    ALTERNATIVES = "alternatives"
    BOUNDARY = "boundary"
    NOTHING = "nothing"
    NO_FINDING = "no finding"


WORDS: Final = "words"  # the effect of a row that defines a class


class StanceRule(NamedTuple):
    """A rule: the words that it matches, and what they mean for findings near them."""

    name: str
    effect: Effect
    pattern: str
    example: str
    matcher: re.Pattern[str]
    first_words: frozenset[str]


def read_rules(text: str, file_name: str, classes: Mapping[str, tuple[str, ...]] | None = None) -> RuleTable:
    """The rules in a table of tab-separated values. `classes` are known before, as of the platform's own table.

    Raises `InputError`, with the line, for a row that is none, an unknown class or effect, and a repeated name.
    """
    known_classes = dict(classes or {})
    rules: dict[str, StanceRule] = {}
    for line_number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#") or line.split("\t")[0].strip() == COLUMNS[0]:
            continue
        location = f"{file_name}, line {line_number}"
        name, effect, pattern, example = _cells(line, location)
        if effect == WORDS:
            class_match = _CLASS_NAME.fullmatch(name)
            if class_match is None:
                raise InputError(f"{location}: a class of words is named {{name}}", "For example {seen}.")
            known_classes[class_match[1]] = tuple(
                dict.fromkeys(
                    (*known_classes.get(class_match[1], ()), *(entry.strip().lower() for entry in pattern.split("|")))
                )
            )
        elif name in rules:
            raise InputError(f"{location}: there is a rule {name} already", "Give it another name.")
        else:
            rules[name] = _rule(name, effect, pattern, example, known_classes, location)
    return RuleTable(tuple(rules.values()), known_classes)


class RuleTable(NamedTuple):
    """Rules in their order, and the classes of words that their patterns name."""

    rules: tuple[StanceRule, ...]
    classes: Mapping[str, tuple[str, ...]]

    def with_rules(self, other: RuleTable) -> RuleTable:
        """Both tables; a rule of the other one replaces a rule of the same name."""
        names = {rule.name for rule in other.rules}
        retained_rules = (rule for rule in self.rules if rule.name not in names)
        return RuleTable((*retained_rules, *other.rules), {**self.classes, **other.classes})


def _cells(line: str, location: str) -> tuple[str, str, str, str]:
    cells = [cell.strip() for cell in line.split("\t")]
    cells += [""] * (len(COLUMNS) - len(cells))
    if len(cells) != len(COLUMNS) or not all(cells[:3]):
        raise InputError(f"{location}: not a rule", f"Its columns are {', '.join(COLUMNS)}, with tabs between them.")
    return cells[0], cells[1], cells[2], cells[3]


def _rule(
    name: str, effect: str, pattern: str, example: str, classes: Mapping[str, tuple[str, ...]], location: str
) -> StanceRule:
    if effect not in list(Effect):
        raise InputError(f"{location}: {effect} is not an effect", f"Effects: {', '.join(Effect)}, {WORDS}.")
    if len(pattern) > MAX_PATTERN:
        raise InputError(f"{location}: the pattern is longer than {MAX_PATTERN} characters", "Make it two rules.")
    try:
        expression, first_words = _Parser(pattern, classes).parse()
    except ValueError as error:
        raise InputError(f"{location}: {error}", "See docs/construct.md for the form of patterns.") from None
    return StanceRule(name, Effect(effect), pattern, example, re.compile(expression), frozenset(first_words))


class _Parser:
    """Turns a pattern into a regular expression over words with a space after each, and the words that it may begin
    with. Raises `ValueError` with the reason for a pattern that is none.
    """

    def __init__(self, pattern: str, classes: Mapping[str, tuple[str, ...]]) -> None:
        self._atoms = _ATOM.findall(pattern)
        if re.sub(r"\s", "", pattern) != "".join(self._atoms):
            raise ValueError("a brace or a quotation mark has no partner")
        self._classes = classes
        self._position = self._depth = 0
        if self._atoms.count("*") > MAX_REPEATS:
            raise ValueError(f"the pattern has more than {MAX_REPEATS} *")

    def parse(self) -> tuple[str, set[str]]:
        expression, first_words, may_be_empty = self._alternatives()
        if self._position < len(self._atoms):
            raise ValueError(f"{self._atoms[self._position]} has no partner")
        if may_be_empty or ANY in first_words:
            raise ValueError("the pattern does not begin with a word of its own")
        return expression, first_words

    def _alternatives(self) -> tuple[str, set[str], bool]:
        expressions, first_words, may_be_empty = [], set[str](), False
        while True:
            expression, firsts, is_empty = self._sequence()
            expressions.append(expression)
            first_words |= firsts
            may_be_empty |= is_empty
            if not self._take("|"):
                break
        joined = expressions[0] if len(expressions) == 1 else f"(?:{'|'.join(expressions)})"
        return joined, first_words, may_be_empty

    def _sequence(self) -> tuple[str, set[str], bool]:
        expressions, first_words, may_be_empty = [], set[str](), True
        while self._position < len(self._atoms) and self._atoms[self._position] not in ("|", ")", "]"):
            expression, firsts, is_empty = self._element()
            if may_be_empty:
                first_words |= firsts
            may_be_empty &= is_empty
            expressions.append(expression)
        if not expressions:
            raise ValueError("a part of the pattern is empty")
        return "".join(expressions), first_words, may_be_empty

    def _element(self) -> tuple[str, set[str], bool]:
        atom = self._atoms[self._position]
        self._position += 1
        if atom in ("(", "["):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ValueError(f"the pattern has more than {MAX_DEPTH} brackets within one another")
            expression, first_words, may_be_empty = self._alternatives()
            self._depth -= 1
            if not self._take(")" if atom == "(" else "]"):
                raise ValueError(f"{atom} has no partner")
            if atom == "[":
                expression, may_be_empty = f"(?:{expression})?", True
        elif atom in ("?", "*"):
            raise ValueError(f"{atom} follows nothing")
        else:
            expression, first_words, may_be_empty = self._word(atom)
        if self._position < len(self._atoms) and (repeat := _REPEATS.get(self._atoms[self._position])):
            self._position += 1
            return f"(?:{expression}){repeat}", first_words, True
        return expression, first_words, may_be_empty

    def _word(self, atom: str) -> tuple[str, set[str], bool]:
        if (class_match := _CLASS_NAME.fullmatch(atom)) is not None:
            if class_match[1] not in self._classes:
                raise ValueError(f"there is no class {atom}")
            entries = sorted(self._classes[class_match[1]], key=len, reverse=True)
            alternatives = "|".join(f"{re.escape(entry)} " for entry in entries)
            return f"(?:{alternatives})", {entry.split()[0] for entry in entries}, False
        special = {"FINDING": (f"{FINDING} ", {FINDING}), "WORD": (f"{_WORD} ", {ANY}), "NUMBER": (r"[\d.,]+ ", {ANY})}
        if atom in special:
            expression, first_words = special[atom]
            return expression, first_words, False
        if atom == "END":
            return _END, set(), True
        word = atom.strip('"').lower()
        return f"{re.escape(word)} ", {word}, False

    def _take(self, atom: str) -> bool:
        if self._position < len(self._atoms) and self._atoms[self._position] == atom:
            self._position += 1
            return True
        return False


def first_word_index(rules: Iterable[StanceRule]) -> dict[str, tuple[StanceRule, ...]]:
    """The rules by the words that they may begin with; those of a mention under `FINDING`."""
    rules_by_word: dict[str, list[StanceRule]] = {}
    for rule in rules:
        for word in rule.first_words:
            rules_by_word.setdefault(word, []).append(rule)
    return {word: tuple(word_rules) for word, word_rules in rules_by_word.items()}


def examples_of(table: RuleTable) -> Iterator[tuple[StanceRule, str]]:
    """The rules with their examples, for those that have one."""
    return ((rule, rule.example) for rule in table.rules if rule.example)
