"""Runs Cypher that the platform did not write itself, a person's or a language model's, and only lets it read.

Four layers, because each alone has a hole (tried on Neo4j 5.26):

1. the text: one statement, a reading clause at its start, no writing clause or ``LOAD CSV``, no function or procedure
   outside the lists below. (The planner drops a write it can prove never to run, and ``EXPLAIN`` shows no operators
   of a subquery inside an expression: ``[x IN xs | COLLECT {LOAD CSV …}]``. Extensions' functions can send requests.)
2. the plan: every operator of ``EXPLAIN`` reads the graph. (``LOAD CSV``, ``SHOW`` and ``TERMINATE`` count as reads
   for the server and run in a READ transaction.)
3. the transaction: READ access mode, so that the server itself refuses writes, and a time limit.
4. the client: a separate timer and a bound on each record, as a server cannot end every expression
   (`kgplatform.bounded`); rows are streamed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from kgplatform.bounded import ENDING, RECORD_BYTES, Bounds, end
from kgplatform.errors import DatabaseError, QueryRefused
from kgplatform.graph import Graph
from kgplatform.graph_records import Notice, Plan
from kgplatform.readonly_cost import check_cost

SECONDS: Final = 30.0
STOPPED: Final = "Kgp.QueryStopped"  # the code of an error of this side's own bounds
MAX_QUERY_LENGTH: Final = 10_000  # characters; 20,000 terms overflow the server's stack, which then never answers
DEEPEST: Final = 50  # brackets in brackets; a thousand overflow it, too

PROCEDURES: Final = frozenset(
    {
        "db.index.fulltext.listAvailableAnalyzers",
        "db.index.fulltext.queryNodes",
        "db.index.fulltext.queryRelationships",
        "db.index.vector.queryNodes",
        "db.index.vector.queryRelationships",
        "db.info",
        "db.labels",
        "db.ping",
        "db.propertyKeys",
        "db.relationshipTypes",
        "db.schema.nodeTypeProperties",
        "db.schema.relTypeProperties",
        "db.schema.visualization",
        "dbms.components",
    }
)
# Built-in functions with a namespace. All built-ins without one are harmless, and extensions cannot add such.
FUNCTION_NAMESPACES: Final = frozenset(
    {"date", "datetime", "duration", "localdatetime", "localtime", "point", "time", "vector"}
)
_OPENINGS: Final = frozenset({"MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN", "CALL"})
_FORBIDDEN: Final = frozenset({"CREATE", "DELETE", "FOREACH", "INSERT", "LOAD", "MERGE", "REMOVE", "SET", "USE"})

# The reading operators of Neo4j 5.26 and 2026.08, with their variants (Expand(All), VarLengthExpand(Pruning) …).
# What is missing here is refused, so an operator of a later version is at worst a refusal.
_READING = re.compile(
    r"""
    (?: ProduceResults | EmptyResult | Argument | Projection | ProjectEndpoints | Filter | NullifyMetadata
      | CacheProperties | RemoteBatchProperties(?:WithFilter)? | Eager | PreserveOrder | ArgumentTracker
      | (?:Partitioned)?Unwind | (?:Exhaustive)?Limit | Skip | (?:Partial)?Sort | (?:Partial)?Top | Top1WithTies
      | (?:Ordered)?(?:Distinct|Union|Aggregation) | EagerAggregation | Optional | Input
      | (?:Let)?(?:Anti)?(?:Select(?:OrAnti|Or))?(?:Anti)?(?:Semi|Conditional|RollUp)?Apply
      | AntiConditionalApply | CartesianProduct | \w*HashJoin | AssertSame(?:Node|Relationship)
      | Triadic(?:Build|Filter|Selection) | (?:Optional|VarLength)?Expand | \w*ShortestPaths? | PathPropagatingBFS
      | (?:Bidirectional)?Repeat | (?:Node|Relationship)CountFromCountStore
      | \w*Scan | (?!Asserting)\w*Seek(?:ByRange)?
      | ProcedureCall
    )
    (?:\((?!Locking)[\w\s,]*\))?
    """,
    re.VERBOSE,
)
_PROCEDURE = re.compile(r"[\w.]+(?=\()")
_TOKEN = re.compile(
    r"""
      (?P<skip> \s+ | //[^\r\n]* | /\*.*?\*/ )
    | (?P<string> '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" )
    | (?P<quoted> `(?:``|[^`])*` )
    | (?P<word> [^\W\d]\w* )
    | (?P<number> 0[xX][0-9a-fA-F]+ | 0[oO][0-7]+ | \d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)? )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\u+([0-9a-fA-F]{4})")


class _Token(NamedTuple):
    kind: str
    text: str


@dataclass
class QueryAnswer:
    """Rows of a checked query, streamed once. `cut` is true after the last row when a limit left out more.

    `columns` are there without rows, too. `notices` are the server's remarks on the statement, such as an unknown
    label.
    """

    rows: Iterator[dict[str, Any]] = field(repr=False)
    limit: int | None = None
    notices: Sequence[Notice] = ()
    columns: Sequence[str] = ()
    cut: bool = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row_number, answer_row in enumerate(self.rows):
            if row_number == self.limit:
                self.cut = True
                return
            yield answer_row


@contextlib.contextmanager
def open_query(
    graph: Graph,
    text: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    seconds: float = SECONDS,
    limit: int | None = None,
) -> Iterator[QueryAnswer]:
    """Check `text`, run it, and give its rows while the context lasts: all of them, or at most `limit`.

    Raises `QueryRefused` when it is not a plain read, `DatabaseError` when it is wrong, or takes too much time or
    memory, also midway through the rows.
    """
    parameters = parameters or {}
    bounds = Bounds(seconds)
    query_plan = _check(graph, text, parameters, bounds)
    with _explained(graph, bounds), contextlib.closing(graph.read_text(text, parameters, bounds)) as answer_rows:
        yield QueryAnswer(answer_rows, limit, query_plan.notices, query_plan.columns)


def check_query(
    graph: Graph, text: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = SECONDS
) -> None:
    """Raise `QueryRefused` unless the text and its plan only read. The statement is planned, not run."""
    _check(graph, text, parameters or {}, Bounds(seconds))


def _check(graph: Graph, text: str, parameters: Mapping[str, Any], bounds: Bounds) -> Plan:
    check_query_text(text, parameters)
    with _explained(graph, bounds, _PLANNING):
        query_plan = graph.explain(text, parameters, bounds)
    if query_plan.query_type not in ("r", "s"):  # "s" is also a read-only procedure of the dbms namespace
        raise QueryRefused("the statement writes to the graph", "Only reading queries run here.")
    for operator, details in query_plan.operators:
        if _READING.fullmatch(operator) is None:
            raise QueryRefused(f"the statement needs {operator}, which is not a read of the graph", _HINT)
        if operator == "ProcedureCall":
            procedure_match = _PROCEDURE.match(details)
            _check_procedure(procedure_match[0] if procedure_match else "a procedure without a plain name")
    notices = [notice._replace(column=_own_column(notice.line, notice.column)) for notice in query_plan.notices]
    return replace(query_plan, notices=notices)


def check_query_text(text: str, parameters: Mapping[str, Any] | None = None) -> None:
    """The part of the check that needs no server; raises `QueryRefused`."""
    if len(text) > MAX_QUERY_LENGTH:
        raise QueryRefused(
            f"the statement has more than {MAX_QUERY_LENGTH:,} characters", "Pass long lists as parameters."
        )
    tokens = _tokens(_unescaped(text))
    if not tokens:
        raise QueryRefused("the statement is empty", _HINT)
    if tokens[0].text.upper() not in _OPENINGS:
        raise QueryRefused(
            f"the statement begins with {tokens[0].text[:20]!r}",
            "A read begins with MATCH, OPTIONAL MATCH, WITH, UNWIND, CALL or RETURN, without EXPLAIN or options.",
        )
    _check_depth(tokens)
    if any(token == _Token("sign", ";") for token in tokens[:-1]):
        raise QueryRefused("there is more than one statement", "Run them one by one.")
    for token_index, token in enumerate(tokens):
        if token.kind == "word" and token.text.upper() in _FORBIDDEN and _is_clause(tokens, token_index):
            raise QueryRefused(
                f"the statement has a {token.text.upper()} clause",
                "Only reading queries run here; a variable of that name can be written in `backticks`.",
            )
    for called_name in _called(tokens):
        if called_name.split(".")[0].lower() not in FUNCTION_NAMESPACES:
            _check_procedure(called_name)
    check_cost(tokens, parameters or {})


_HINT: Final = "Allowed: MATCH, WITH, UNWIND, CALL subqueries, UNION, RETURN, and procedures that read the graph."


def _check_procedure(procedure_name: str) -> None:
    if procedure_name not in PROCEDURES:
        raise QueryRefused(
            f"{procedure_name} may not be called here", f"Procedures allowed: {', '.join(sorted(PROCEDURES))}."
        )


def _check_depth(tokens: list[_Token]) -> None:
    depth = sign_run = 0
    for token in tokens:
        token_word = token.text.upper()
        depth += (token_word in ("(", "[", "{", "CASE")) - (token_word in (")", "]", "}", "END"))
        sign_run = sign_run + 1 if token_word in ("NOT", "+", "-") else 0
        if max(depth, sign_run) > DEEPEST:
            raise QueryRefused(f"the statement is nested more than {DEEPEST} deep", "Split it with WITH.")


def _unescaped(text: str) -> str:
    r"""`text` with its ``\u`` escapes replaced as Neo4j does before it reads the words, so that none hides a clause."""

    def character(escape_match: re.Match[str]) -> str:
        replacement = chr(int(escape_match[1], 16))
        if replacement.isascii() or not replacement.isprintable():
            raise QueryRefused(
                rf"the statement hides a plain character in a \u{escape_match[1]} escape", "Write it plainly."
            )
        return replacement

    return _ESCAPE.sub(character, text)


def _tokens(query_text: str) -> list[_Token]:
    token_matches = _TOKEN.finditer(query_text)
    return [
        _Token(token_match.lastgroup or "", token_match[0])
        for token_match in token_matches
        if token_match.lastgroup != "skip"
    ]


def _is_clause(tokens: list[_Token], token_index: int) -> bool:
    """Whether a clause's word stands where a clause can, not where a property, label, parameter or alias does."""
    previous_word = tokens[token_index - 1].text.upper() if token_index else ""
    next_word = tokens[token_index + 1].text.upper() if token_index + 1 < len(tokens) else ")"
    if tokens[token_index].text.upper() == "LOAD":  # nothing else stops it inside an expression
        return next_word == "CSV"
    return previous_word not in (".", ":", "$", "AS") and next_word not in {*":,.)]}|=<>+-*/;", "AS", "IN"}


def _called(tokens: list[_Token]) -> Iterator[str]:
    """The names of functions and procedures that hold a dot: nothing else puts such a name before a parenthesis."""
    dotted_name = ""  # the dotted name that ends at the token before
    for previous_token, token in zip([_Token("", ""), *tokens], tokens, strict=False):
        if token.kind in ("word", "quoted"):
            dotted_name = f"{dotted_name}{_plain(token)}" if previous_token.text == "." else _plain(token)
        elif token.text == "." and previous_token.kind in ("word", "quoted"):
            dotted_name += "."
        else:
            if token.text == "(" and "." in dotted_name:
                yield dotted_name
            dotted_name = ""


def _plain(token: _Token) -> str:
    return token.text[1:-1].replace("``", "`") if token.kind == "quoted" else token.text


_POSITION = re.compile(r"\(line (\d+), column (\d+) \(offset: \d+\)\)")


def _own_position(position_match: re.Match[str]) -> str:
    line_number, column_number = int(position_match[1]), int(position_match[2])
    return f"(line {line_number}, column {_own_column(line_number, column_number)})"


def _own_column(line_number: int, column_number: int) -> int:
    """The column in the user's text, without our ``EXPLAIN``."""
    return column_number - len("EXPLAIN ") if line_number == 1 else column_number


_LESS: Final = "Ask for less: fewer hops, a LIMIT inside, or a more selective pattern."


class _Slow(NamedTuple):
    """What to say where the time ran out."""

    problem: str
    hint: str


_REASONS: Final = {  # the server's own texts quote values
    "Statement.ArithmeticError": "the statement divides by zero, or a number gets too large",
    "Statement.TypeError": "a value is not of the type that a function or an operator takes",
    "Statement.ArgumentError": "a value is out of the range that a function or a clause takes",
}
_RUNNING: Final = _Slow("the query was stopped after {:g} s", _LESS)
_PLANNING: Final = _Slow(
    "the server had not planned the statement after {:g} s",
    "It is busy with other work, or the statement has too many patterns: try again later, or a simpler one.",
)


@contextlib.contextmanager
def _explained(graph: Graph, bounds: Bounds, slow: _Slow = _RUNNING) -> Iterator[None]:
    """Errors in the user's terms: the bounds on time and memory, and places in the text without our ``EXPLAIN``."""
    try:
        yield
    except DatabaseError as error:
        if bounds.exceeded:
            has_ended = end(graph, bounds)
            raise _exceeded(bounds, slow, has_ended) from None
        if "SyntaxError" in error.code:
            raise DatabaseError(_POSITION.sub(_own_position, error.message), error.hint, code=error.code) from None
        if reason := next((text for name, text in _REASONS.items() if error.code.endswith(name)), ""):
            raise DatabaseError(reason, "Check the values that the statement computes with.", code=error.code) from None
        if "OutOfMemory" in error.code:
            problem = "the query needs more memory than the server has for it"
            raise DatabaseError(problem, _LESS, code=error.code) from None
        if "TransactionTimedOut" not in error.code and "Terminated" not in error.code:
            raise
        raise DatabaseError(slow.problem.format(bounds.seconds), slow.hint, code=error.code) from None


def _exceeded(bounds: Bounds, slow: _Slow, has_ended: bool) -> DatabaseError:
    if bounds.exceeded == "size":
        problem = f"the query was stopped: a row of its answer has more than {RECORD_BYTES // 1024**2} MiB"
        hint = "Return rows instead of one long list (UNWIND, or no collect())."
    else:
        problem, hint = slow.problem.format(bounds.seconds), slow.hint
    if not has_ended and slow is _RUNNING:
        hint += (
            f" The server had not ended it {ENDING:g} s later. An expression that Neo4j cannot end holds a core until "
            "it is done, or until the server is restarted (the local one: kgp db stop, then kgp db start)."
        )
    return DatabaseError(problem, hint, code=STOPPED)
