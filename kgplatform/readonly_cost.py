"""Refuses by their text the expressions that a server cannot end: those that run long, or grow, within one row.

A server ends a transaction between rows and where a store is read, not inside an expression. The text states only the
plain cases (a list or a step that is computed does not show its size); the rest is for the timer of
`kgplatform.bounded`. ``UNWIND range(…)`` makes rows, which the server can end, so it is not limited.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from kgplatform.errors import QueryRefused

MAX_RANGE: Final = 1_000_000  # elements of a range within an expression
STEPS: Final = 100_000_000  # elements of lists that loops go through: a server takes some seconds for as many
DOUBLINGS: Final = 10  # of a text or list along a statement
REPEATS: Final = 5  # unbounded repetitions in a regular expression

Tokens = Sequence[tuple[str, str]]  # (kind, text)
_UNBOUNDED = re.compile(r"[*+]|\{\d+,\}")
_NESTED = re.compile(r"\([^()]*(?:[*+]|\{\d+,\d*\}|\|)[^()]*\)(?:[*+]|\{\d+,\d*\})")
_ESCAPED = re.compile(r"\\.|\[[^\]]*\]", re.DOTALL)
_LOOPS: Final = frozenset({"all", "any", "none", "single", "reduce"})
_CLAUSES: Final = frozenset({"WITH", "RETURN", "UNWIND", "DISTINCT", "YIELD", "AS"})
_BRANCHES: Final = frozenset({"WHEN", "THEN", "ELSE", "END", ","})


def check_cost(tokens: Tokens, parameters: Mapping[str, Any]) -> None:
    """Raise `QueryRefused` for a statement that would run or grow within one row beyond what a server can end."""
    _check_loops(tokens, parameters)
    doublings = 0
    for name, call_body in _calls(tokens, {"reduce", "replace"}):
        if name == "reduce":
            _check_reduce(call_body)
        else:
            doublings += 4 * any(name_count > 1 for name_count in Counter(_names(call_body)).values())
    doublings += sum(
        previous_token[0] == "word" and sign_token[1] == "+" and previous_token == next_token
        for previous_token, sign_token, next_token in zip(tokens, tokens[1:], tokens[2:], strict=False)
    )
    if doublings > DOUBLINGS:
        raise QueryRefused(
            "the statement doubles a value again and again",
            "A text or list that grows like this does not fit into the server's memory.",
        )
    if any(previous_token[1] == "=" and next_token[1] == "~" for previous_token, next_token in pairwise(tokens)):
        string_texts = [
            string_text[1:-1].replace("\\\\", "\\") for syntax_kind, string_text in tokens if syntax_kind == "string"
        ]
        used_parameters = (
            parameters.get(name[1].strip("`")) for sign_token, name in pairwise(tokens) if sign_token[1] == "$"
        )
        for pattern in (
            *string_texts,
            *(parameter_value for parameter_value in used_parameters if isinstance(parameter_value, str)),
        ):
            _check_pattern(pattern)


def _check_loops(tokens: Tokens, parameters: Mapping[str, Any]) -> None:
    """Refuse a long range, and loops in loops that go through many elements, as far as the text shows their number."""
    range_sizes = [
        _size(range_body, parameters)
        for previous_word, (_, range_body) in _calls_after(tokens, {"range"})
        if previous_word != "UNWIND"
    ]
    if max(range_sizes, default=0) > MAX_RANGE:
        raise _endless(MAX_RANGE)
    lists = _Lists(parameters, {})
    lists.learn(tokens)
    if lists.steps(tokens) > STEPS:
        raise _endless(STEPS)


def _endless(step_count: int) -> QueryRefused:
    return QueryRefused(
        f"the statement goes through more than {step_count:,} elements of lists within a row",
        "Neo4j cannot end this while it runs. UNWIND makes rows of a list's elements, which it can end.",
    )


@dataclass
class _Lists:
    """How many elements the lists of a statement have, as far as its text shows: those made of `range()`."""

    parameters: Mapping[str, Any]
    sizes: dict[str, int]  # by name

    def learn(self, tokens: Tokens) -> None:
        """Note the names that the statement gives to lists (``WITH range(1, 10) AS a``)."""
        for token_index, token in enumerate(tokens[:-1]):
            if token[0] == "word" and token[1].upper() == "AS":
                expression = _before(tokens, token_index)
                name = tokens[token_index + 1][1].strip("`")
                self.sizes[name] = max(self.size(expression), self.sizes.get(name, 0))

    def size(self, expression: Tokens) -> int:
        """The elements of the longest list that an expression names or makes."""
        range_sizes = (_size(range_body, self.parameters) for _, range_body in _calls(expression, {"range"}))
        named_sizes = (self.sizes.get(name.strip("`"), 0) for name in _names(expression))
        return max([*range_sizes, *named_sizes], default=0)

    def steps(self, tokens: Tokens) -> int:
        """The elements that an expression goes through: of a loop in a loop, their product."""
        step_count, token_index = 0, 0
        while token_index < len(tokens):
            loop = _loop(tokens, token_index)
            if loop is not None:
                step_count += max(self.size(loop.elements), 1) * max(self.steps(loop.body), 1)
                token_index = loop.end
            elif tokens[token_index][1].strip("`").lower() == "range" and (
                token_index == 0 or tokens[token_index - 1][1].upper() != "UNWIND"
            ):
                step_count += self.size(tokens[token_index : token_index + 2 + len(_inside(tokens, token_index + 1))])
            token_index += 1
        return step_count


class _Loop(NamedTuple):
    """A list comprehension, ``any(x IN …)`` or ``reduce()``: its list, what it does with an element, its last token."""

    elements: Tokens
    body: Tokens
    end: int


def _loop(tokens: Tokens, token_index: int) -> _Loop | None:
    """The loop that begins with the bracket at that token, if there is any."""
    bracket = tokens[token_index][1]
    function_name = tokens[token_index - 1][1].lower() if token_index else ""
    if bracket != "[" and not (bracket == "(" and function_name in _LOOPS):
        return None
    inner_tokens = _inside(tokens, token_index)
    start = len(_split(inner_tokens)[0]) + 1 if function_name == "reduce" and bracket == "(" else 0
    if len(inner_tokens) < start + 3 or inner_tokens[start + 1][1].upper() != "IN":
        return None
    depth = 0
    for body_start in range(start + 2, len(inner_tokens) + 1):
        symbol_text = inner_tokens[body_start][1] if body_start < len(inner_tokens) else "|"
        if depth == 0 and symbol_text.upper() in ("|", "WHERE"):
            break
        depth += (symbol_text in ("(", "[", "{")) - (symbol_text in (")", "]", "}"))
    loop_end = token_index + 1 + len(inner_tokens)
    return _Loop(inner_tokens[start + 2 : body_start], inner_tokens[body_start + 1 :], loop_end)


def _before(tokens: Tokens, token_index: int) -> Tokens:
    """The expression that ends before a token, back to a comma or the clause's word; nothing after UNWIND, which names
    an element.
    """
    depth = 0
    for start in range(token_index - 1, -1, -1):
        symbol_text = tokens[start][1]
        depth += (symbol_text in (")", "]", "}")) - (symbol_text in ("(", "[", "{"))
        if depth < 0 or (depth == 0 and (symbol_text == "," or symbol_text.upper() in _CLAUSES)):
            return () if symbol_text.upper() == "UNWIND" else tokens[start + 1 : token_index]
    return tokens[:token_index]


def _size(range_body: Tokens, parameters: Mapping[str, Any]) -> int:
    """How many numbers a range has as far as the text shows: all its bounds, or else the largest number in it."""
    range_bounds = [_number(argument, parameters) for argument in _split(range_body)]
    if len(range_bounds) in (2, 3) and all(range_bound is not None for range_bound in range_bounds):
        range_start, range_end, range_step = (*(range_bound or 0 for range_bound in range_bounds), 1)[:3]
        return int((range_end - range_start) // range_step) + 1 if range_step else 0
    literal_values = [
        _value(token, next_token, parameters)
        for token, next_token in zip(range_body, [*range_body[1:], ("", "")], strict=True)
    ]
    may_grow = any(symbol_text in ("*", "^") for _, symbol_text in range_body)
    return (
        MAX_RANGE + 1
        if may_grow
        else int(
            min(
                max((abs(literal_value) for literal_value in literal_values if literal_value is not None), default=1),
                MAX_RANGE + 1,
            )
        )
    )


def _number(argument: Tokens, parameters: Mapping[str, Any]) -> float | None:
    """The value of an argument that is a plain number or parameter; else None."""
    is_negative = [symbol_text for _, symbol_text in argument[:1]] == ["-"]
    magnitude = argument[1:] if is_negative else argument
    if len(magnitude) == 1 and magnitude[0][0] == "number":
        number_value = _literal(magnitude[0][1])
    elif len(magnitude) == 2 and magnitude[0][1] == "$":
        number_value = _numeric(parameters.get(magnitude[1][1].strip("`")))
    else:
        return None
    return None if number_value is None else -number_value if is_negative else number_value


def _value(token: tuple[str, str], next_token: tuple[str, str], parameters: Mapping[str, Any]) -> float | None:
    """The number that a token is, a parameter's value, or how long a text in digits makes it."""
    if token[1] == "$":
        return _numeric(parameters.get(next_token[1].strip("`")))
    if token[0] == "string":
        return _numeric(_literal(token[1][1:-1]))
    return _literal(token[1]) if token[0] == "number" else None


def _literal(literal_text: str) -> float | None:
    try:
        return int(literal_text, 0) if literal_text[:2].lower() in ("0x", "0o") else float(literal_text)
    except (ValueError, OverflowError):
        return None


def _numeric(value: object) -> float | None:
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None
    )


def _check_reduce(reduce_body: Tokens) -> None:
    """Refuse an accumulator of text or lists that a step contains twice, so that it doubles."""
    body_texts = [symbol_text for _, symbol_text in reduce_body]
    if len(reduce_body) < 4 or body_texts[1] != "=" or "|" not in body_texts:
        return
    initial_tokens, step_tokens = _split(reduce_body)[0][2:], reduce_body[body_texts.index("|") + 1 :]
    is_number = all(syntax_kind == "number" or symbol_text == "-" for syntax_kind, symbol_text in initial_tokens)
    if is_number and not any(syntax_kind == "string" or symbol_text == "[" for syntax_kind, symbol_text in step_tokens):
        return  # a number stays a number
    accumulator, occurrences = body_texts[0], Counter[tuple[int, str]]()
    branch_number = 0
    for token_index, (_, symbol_text) in enumerate(step_tokens):
        branch_number += symbol_text.upper() in _BRANCHES
        if symbol_text == accumulator and not _only_measured(step_tokens, token_index):
            following_tokens = step_tokens[token_index + 1 : token_index + 3]
            property_key = (
                following_tokens[1][1] if len(following_tokens) == 2 and following_tokens[0][1] == "." else ""
            )
            occurrences[branch_number, property_key] += 1
    is_replaced_twice = any(
        Counter(_names(inner_body))[accumulator] > 1 for _, inner_body in _calls(step_tokens, {"replace"})
    )
    if is_replaced_twice or max(occurrences.values(), default=0) > 1:
        raise QueryRefused(
            f"reduce() has {accumulator[:40]} twice in one step, so that it may double with each",
            "Neo4j cannot end this while it runs. Use the value only once in a step.",
        )


def _only_measured(step_tokens: Tokens, token_index: int) -> bool:
    """Whether the value there is only measured or searched (``size(s)``, ``x IN s``) and not part of the result."""
    previous_words = [symbol_text.upper() for _, symbol_text in step_tokens[max(token_index - 3, 0) : token_index]]
    if previous_words[-1:] == ["IN"]:
        return previous_words[:1] != ["["]
    return previous_words[-2:] in (["SIZE", "("], ["LENGTH", "("], ["LAST", "("], ["HEAD", "("])


def _check_pattern(pattern: str) -> None:
    plain_pattern = _ESCAPED.sub("c", pattern)
    if _NESTED.search(plain_pattern) or len(_UNBOUNDED.findall(plain_pattern)) > REPEATS:
        raise QueryRefused(
            "a regular expression repeats what repeats, or has many repetitions",
            "Such a search may never end, and Neo4j cannot end it. Use CONTAINS, or fewer repetitions.",
        )


def _calls(tokens: Tokens, function_names: set[str]) -> Iterator[tuple[str, Tokens]]:
    return (call for _, call in _calls_after(tokens, function_names))


def _calls_after(tokens: Tokens, function_names: set[str]) -> Iterator[tuple[str, tuple[str, Tokens]]]:
    """The calls of these functions: the word before, and the name with the tokens in its brackets."""
    for token_index in range(len(tokens) - 1):
        function_name = tokens[token_index][1].strip("`").lower()
        if (
            function_name in function_names
            and tokens[token_index][0] in ("word", "quoted")
            and tokens[token_index + 1][1] == "("
        ):
            yield (
                tokens[token_index - 1][1].upper() if token_index else "",
                (function_name, _inside(tokens, token_index + 1)),
            )


def _inside(tokens: Tokens, opening_index: int) -> Tokens:
    depth = 0
    for token_index in range(opening_index, len(tokens)):
        depth += (tokens[token_index][1] in ("(", "[", "{")) - (tokens[token_index][1] in (")", "]", "}"))
        if depth == 0:
            return tokens[opening_index + 1 : token_index]
    return tokens[opening_index + 1 :]


def _split(tokens: Tokens) -> list[Tokens]:
    """The arguments between the commas of the outermost level."""
    arguments: list[list[tuple[str, str]]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token[1] in ("(", "[", "{")) - (token[1] in (")", "]", "}"))
        if token[1] == "," and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(token)
    return list(arguments)


def _names(tokens: Tokens) -> list[str]:
    return [symbol_text for syntax_kind, symbol_text in tokens if syntax_kind in ("word", "quoted")]
