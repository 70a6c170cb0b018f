"""What commands print: results on stdout, as text or one JSON document; progress and errors on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from kgplatform.errors import KgpError

WIDEST = 80  # characters of a cell

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]


def fail(error: KgpError, as_json: bool) -> int:
    """Report the error in the form the user asked for; returns the exit code."""
    if as_json:
        emit_json({"error": {"kind": error.kind, "message": error.message, "hint": error.hint}})
    else:
        sys.stderr.write(f"error: {printable(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"  {printable(error.hint)}\n")
    return error.exit_code


def printable(text: str) -> str:
    """The text for a terminal: line breaks stay; what else is no printable character is a question mark there.

    Names come from data: a control character could move the cursor, set the window's title, or turn the text around.
    """
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text.replace("\t", " "))


def echo(text: object = "") -> None:
    """A line of a result on stdout, as `printable`."""
    sys.stdout.write(printable(str(text)) + "\n")


def emit_json(document: object) -> None:
    """Print `document`; what JSON lacks (dates, points, bytes) is written as text."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as aligned text columns, numbers to the right; an empty string without rows."""
    rows = list(rows)
    if not rows:
        return ""
    columns = columns or list(rows[0])
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    right = [all(isinstance(row.get(column), int | float | None) for row in rows) for column in columns]

    def line(values: Sequence[str]) -> str:
        padded = (v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), line(["-" * w for w in widths]), *(line(values) for values in cells)])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(character if character.isprintable() else "�" for character in text[: WIDEST + 1])
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def short(value: object) -> object:
    """The value, or as much of a long text, list or map as a table shows, so that many rows do not fill the memory."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[: WIDEST + 1]


def progress(what: str) -> Callable[[int, int | None], None]:
    """A reporter `(done, total)` that keeps one line on stderr up to date; quiet when stderr is not a terminal."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    started, last = time.monotonic(), 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        finished = done == total
        if now - last < 0.1 and not finished:
            return
        last = now
        share = f"{done / total:4.0%} " if total else ""
        rate = done / max(now - started, 1e-9)
        sys.stderr.write(f"\r\033[K{printable(what)}: {share}{done:,} rows, {rate:,.0f}/s" + ("\n" if finished else ""))
        sys.stderr.flush()

    return report


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(printable(text) + "\n")
