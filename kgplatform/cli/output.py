"""What commands print: results on stdout, as text or one JSON document; progress and errors on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from kgplatform.errors import KgpError

WIDEST = 80  # characters of a cell
WIDTH = 120  # columns of a table that does not go to a terminal
SHORT = 16  # characters that a shortened text has at least

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


def fitted(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], flexible: str, optional: Sequence[str], width: int = 0
) -> str:
    """The rows as a `table` no wider than the terminal (of WIDTH where there is none, or `width`).

    Columns of `optional` are left out, the first of them first, until the rest fits with SHORT characters of the
    `flexible` column, whose texts are shortened to what is left.
    """
    width = width or (shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH)
    columns = list(columns)

    def needed(column: str) -> int:
        cells = [len(column), *(len(_cell(row.get(column))) for row in rows)]
        return min(max(cells), SHORT) if column == flexible else max(cells)

    for column in optional:
        if sum(map(needed, columns)) + 2 * (len(columns) - 1) <= width:
            break
        columns.remove(column)
    others = sum(needed(column) + 2 for column in columns if column != flexible)
    room = max(SHORT, width - others)
    return table([{**row, flexible: _shortened(_cell(row.get(flexible)), room)} for row in rows], columns)


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


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
    return _shortened("".join(c if c.isprintable() else "�" for c in text[: WIDEST + 1]), WIDEST)


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


def confirm(question: str) -> None:
    """Ask on stderr, as stdout is for results. Raises `typer.Abort` unless the answer is yes."""
    sys.stderr.write(f"{printable(question)} [y/N]: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(printable(text) + "\n")
