"""Refuses by their text the expressions that a server cannot end: those that run long, or grow, within one row.

A server ends a transaction between rows and where a store is read, not inside an expression. The text tells only the
plain cases (a list or a step that is computed does not show its size); the rest is for the timer of
`kgplatform.bounded`. ``UNWIND range(…)`` makes rows, which the server can end, so it is not limited.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from kgplatform.errors import QueryRefused

MOST: Final = 1_000_000  # elements of a range within an expression
STEPS: Final = 100_000_000  # of ranges in ranges: a server takes some seconds for as many
DOUBLINGS: Final = 10  # of a text or list along a statement
REPEATS: Final = 5  # unbounded repetitions in a regular expression

Tokens = Sequence[tuple[str, str]]  # (kind, text)
_UNBOUNDED = re.compile(r"[*+]|\{\d+,\}")
_NESTED = re.compile(r"\([^()]*(?:[*+]|\{\d+,\d*\}|\|)[^()]*\)(?:[*+]|\{\d+,\d*\})")
_ESCAPED = re.compile(r"\\.|\[[^\]]*\]", re.DOTALL)
_BRANCHES: Final = frozenset({"WHEN", "THEN", "ELSE", "END", ","})


def check_cost(tokens: Tokens, parameters: Mapping[str, Any]) -> None:
    """Raise `QueryRefused` for a statement that would run or grow within one row beyond what a server can end."""
    _check_ranges(tokens, parameters)
    doublings = 0
    for name, body in _calls(tokens, {"reduce", "replace"}):
        if name == "reduce":
            _check_reduce(body)
        else:
            doublings += 4 * any(count > 1 for count in Counter(_names(body)).values())
    doublings += sum(
        before[0] == "word" and sign[1] == "+" and before == after
        for before, sign, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
    )
    if doublings > DOUBLINGS:
        raise QueryRefused(
            "the statement doubles a value again and again", "A text or list that grows so does not fit a server."
        )
    if any(before[1] == "=" and after[1] == "~" for before, after in pairwise(tokens)):
        texts = [text[1:-1].replace("\\\\", "\\") for kind, text in tokens if kind == "string"]
        used = (parameters.get(name[1].strip("`")) for sign, name in pairwise(tokens) if sign[1] == "$")
        for pattern in (*texts, *(value for value in used if isinstance(value, str))):
            _check_pattern(pattern)


def _check_ranges(tokens: Tokens, parameters: Mapping[str, Any]) -> None:
    steps = 1
    for before, (_, body) in _calls_after(tokens, {"range"}):
        if before == "UNWIND":
            continue
        size = _size(body, parameters)
        steps *= max(size, 1)
        if size > MOST or steps > STEPS:
            most = MOST if size > MOST else STEPS
            raise QueryRefused(
                f"the statement goes through more than {most:,} numbers of range() within a row",
                "Neo4j cannot end this while it runs. UNWIND range(…) AS x makes rows of them, which it can end.",
            )


def _size(body: Tokens, parameters: Mapping[str, Any]) -> int:
    """How many numbers a range has as far as the text tells: all its bounds, or else the largest number in it."""
    bounds = [_number(argument, parameters) for argument in _split(body)]
    if len(bounds) in (2, 3) and all(bound is not None for bound in bounds):
        start, end, step = (*(bound or 0 for bound in bounds), 1)[:3]
        return int((end - start) // step) + 1 if step else 0
    numbers = [_value(token, after, parameters) for token, after in zip(body, [*body[1:], ("", "")], strict=True)]
    grows = any(sign in ("*", "^") for _, sign in body)
    return MOST + 1 if grows else int(min(max((abs(n) for n in numbers if n is not None), default=1), MOST + 1))


def _number(argument: Tokens, parameters: Mapping[str, Any]) -> float | None:
    """The value of an argument that is a plain number or parameter; else None."""
    negative = [text for _, text in argument[:1]] == ["-"]
    rest = argument[1:] if negative else argument
    if len(rest) == 1 and rest[0][0] == "number":
        value = _literal(rest[0][1])
    elif len(rest) == 2 and rest[0][1] == "$":
        value = _numeric(parameters.get(rest[1][1].strip("`")))
    else:
        return None
    return None if value is None else -value if negative else value


def _value(token: tuple[str, str], after: tuple[str, str], parameters: Mapping[str, Any]) -> float | None:
    """The number that a token is, a parameter's value, or how long a text in digits makes it."""
    if token[1] == "$":
        return _numeric(parameters.get(after[1].strip("`")))
    if token[0] == "string":
        return _numeric(_literal(token[1][1:-1]))
    return _literal(token[1]) if token[0] == "number" else None


def _literal(text: str) -> float | None:
    try:
        return int(text, 0) if text[:2].lower() in ("0x", "0o") else float(text)
    except (ValueError, OverflowError):
        return None


def _numeric(value: object) -> float | None:
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None
    )


def _check_reduce(body: Tokens) -> None:
    """Refuse an accumulator of text or lists that a step contains twice, so that it doubles."""
    texts = [text for _, text in body]
    if len(body) < 4 or texts[1] != "=" or "|" not in texts:
        return
    initial, step = _split(body)[0][2:], body[texts.index("|") + 1 :]
    plain = all(kind == "number" or text == "-" for kind, text in initial)
    if plain and not any(kind == "string" or text == "[" for kind, text in step):
        return  # a number stays a number
    name, occurrences = texts[0], Counter[tuple[int, str]]()
    branch = 0
    for place, (_, text) in enumerate(step):
        branch += text.upper() in _BRANCHES
        if text == name and not _only_measured(step, place):
            after = step[place + 1 : place + 3]
            key = after[1][1] if len(after) == 2 and after[0][1] == "." else ""
            occurrences[branch, key] += 1
    replaced = any(Counter(_names(inner))[name] > 1 for _, inner in _calls(step, {"replace"}))
    if replaced or max(occurrences.values(), default=0) > 1:
        raise QueryRefused(
            f"reduce() has {name[:40]} twice in one step, so that it may double with each",
            "Neo4j cannot end this while it runs. Write it with the value once in a step.",
        )


def _only_measured(step: Tokens, place: int) -> bool:
    """Whether the value there is only measured or searched (``size(s)``, ``x IN s``) and not part of the result."""
    before = [text.upper() for _, text in step[max(place - 3, 0) : place]]
    if before[-1:] == ["IN"]:
        return before[:1] != ["["]
    return before[-2:] in (["SIZE", "("], ["LENGTH", "("], ["LAST", "("], ["HEAD", "("])


def _check_pattern(pattern: str) -> None:
    plain = _ESCAPED.sub("c", pattern)
    if _NESTED.search(plain) or len(_UNBOUNDED.findall(plain)) > REPEATS:
        raise QueryRefused(
            "a regular expression repeats what repeats, or has many repetitions",
            "Such a search may take for ever, and Neo4j cannot end it. Use CONTAINS, or fewer repetitions.",
        )


def _calls(tokens: Tokens, names: set[str]) -> Iterator[tuple[str, Tokens]]:
    return (call for _, call in _calls_after(tokens, names))


def _calls_after(tokens: Tokens, names: set[str]) -> Iterator[tuple[str, tuple[str, Tokens]]]:
    """The calls of these functions: the word before, and the name with the tokens in its brackets."""
    for place in range(len(tokens) - 1):
        name = tokens[place][1].strip("`").lower()
        if name in names and tokens[place][0] in ("word", "quoted") and tokens[place + 1][1] == "(":
            yield tokens[place - 1][1].upper() if place else "", (name, _inside(tokens, place + 1))


def _inside(tokens: Tokens, opening: int) -> Tokens:
    depth = 0
    for place in range(opening, len(tokens)):
        depth += (tokens[place][1] in ("(", "[", "{")) - (tokens[place][1] in (")", "]", "}"))
        if depth == 0:
            return tokens[opening + 1 : place]
    return tokens[opening + 1 :]


def _split(tokens: Tokens) -> list[Tokens]:
    """The arguments between the commas of the outermost level."""
    parts: list[list[tuple[str, str]]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token[1] in ("(", "[", "{")) - (token[1] in (")", "]", "}"))
        if token[1] == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return list(parts)


def _names(tokens: Tokens) -> list[str]:
    return [text for kind, text in tokens if kind in ("word", "quoted")]
