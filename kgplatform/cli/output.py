"""What commands print: results on stdout, as text or one JSON document; progress, logs and errors on stderr."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Annotated, Any

import typer

from kgplatform.errors import KgpError
from kgplatform.progress import Progress

WIDEST = 80  # characters of a cell
WIDTH = 120  # columns of a table that does not go to a terminal
SELDOM = 30.0  # seconds between two lines about progress where stderr is not a terminal
SHORT = 16  # the fewest characters of a shortened text
_CLEARED = "\r\033[K"  # back to the start of the terminal's line, which is then empty
LOGGERS = ("kgplatform", "kgp_loaders", "kgp_models")  # whose messages a command shows

AnyModality = Annotated[
    bool, typer.Option("--any-modality", help="Also process DICOM files that are no radiographs (CT, MR …).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]


def fail(error: KgpError, as_json: bool) -> int:
    """Report the error in the form the user asked for; returns the exit code."""
    if not (as_json and _error_document(error)):
        sys.stderr.write(f"error: {printable(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"  {printable(error.hint)}\n")
    return error.exit_code


def _error_document(error: KgpError) -> bool:
    """Print the error as JSON; whether stdout took it (it may be a full disk)."""
    try:
        emit_json({"error": {"kind": error.kind, "message": error.message, "hint": error.hint}})
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        return False
    return True


def printable(text: str) -> str:
    """The text for a terminal: line breaks stay; what else is no printable character is a question mark there.

    Names come from data: a control character could move the cursor, set the window's title, or turn the text around.
    """
    if all(text_line.isprintable() for text_line in text.split("\n")):
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else "�" for character in text.replace("\t", " ")
    )


def echo(text: object = "") -> None:
    """A line of a result on stdout, as `printable`."""
    sys.stdout.write(printable(str(text)) + "\n")


def emit_json(document: object) -> None:
    """Print `document`; what JSON lacks (dates, points, bytes) is written as text."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")


def format_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as aligned text columns, numbers to the right; an empty string without rows."""
    rows = list(rows)
    if not rows:
        return ""
    columns = columns or list(rows[0])
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    numeric_columns = [all(isinstance(row.get(column), int | float | None) for row in rows) for column in columns]
    if sys.stdout.isatty():
        return _terminal_table(columns, cells, numeric_columns)
    column_widths = [
        max(len(column), *(len(line[column_index]) for line in cells)) for column_index, column in enumerate(columns)
    ]

    def line(values: Sequence[str]) -> str:
        padded = (
            cell_text.rjust(column_width) if is_numeric else cell_text.ljust(column_width)
            for cell_text, column_width, is_numeric in zip(values, column_widths, numeric_columns, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join(
        [
            line(columns),
            line(["-" * column_width for column_width in column_widths]),
            *(line(values) for values in cells),
        ]
    )


def _terminal_table(columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """The table as wide as the terminal at most: long texts are folded, by rich."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal_table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column, is_numeric in zip(columns, numeric, strict=True):
        terminal_table.add_column(Text(column), justify="right" if is_numeric else "left", overflow="fold")
    for line in cells:
        terminal_table.add_row(*map(Text, line))
    text = StringIO()
    Console(file=text, width=shutil.get_terminal_size().columns, color_system=None).print(terminal_table)
    return "\n".join(line.rstrip() for line in text.getvalue().strip("\n").split("\n"))


def fitted(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], flexible: str, optional: Sequence[str], width: int = 0
) -> str:
    """The rows as a `format_table` no wider than the terminal (of WIDTH where there is none, or `width`).

    Columns of `optional` are left out, the first of them first, until the rest fits with SHORT characters of the
    `flexible` column, whose texts are shortened to what is left.
    """
    width = width or (shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH)
    columns = list(columns)

    def needed(column: str) -> int:
        cell_widths = [len(column), *(len(_cell(row.get(column))) for row in rows)]
        return min(max(cell_widths), SHORT) if column == flexible else max(cell_widths)

    for column in optional:
        if sum(map(needed, columns)) + 2 * (len(columns) - 1) <= width:
            break
        columns.remove(column)
    other_widths = sum(needed(column) + 2 for column in columns if column != flexible)
    flexible_width = max(SHORT, width - other_widths)
    return format_table(
        [{**row, flexible: _shortened(_cell(row.get(flexible)), flexible_width)} for row in rows], columns
    )


def _shortened(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    cell_text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return _shortened(
        "".join(character if character.isprintable() else "�" for character in cell_text[: WIDEST + 1]), WIDEST
    )


def short(value: object) -> object:
    """The value, or as much of a long text, list or map as a table shows, so that many rows do not fill the memory."""
    if value is None or isinstance(value, bool | int | float):
        return value
    value_text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return value_text[: WIDEST + 1]


_has_bar = False  # whether the terminal's last line is a bar, which a line of the log takes the place of


def progress(subject: str) -> Progress:
    """A reporter `(done, total)` of work on `subject`, the unit in the plural ("images", "epochs"); a training's loss
    stands at the end.

    On a terminal it keeps one line on stderr up to date; elsewhere it writes a line every `SELDOM` seconds, so that a
    log file shows that the work goes on. No thread and no hidden cursor: a process that is killed leaves the terminal
    as it was.
    """
    on_terminal = sys.stderr.isatty()
    start_time = time.monotonic()
    last_time = 0.0 if on_terminal else start_time
    bar: _Bar | None = None
    loss_text = ""

    def report(done: int, total: int | None, /, *, loss: float | None = None) -> None:
        global _has_bar
        nonlocal last_time, bar, loss_text
        current_time = time.monotonic()
        loss_text = loss_text if loss is None else f"loss {loss:.4f}"
        is_finished = done == total
        if current_time - last_time < (0.1 if on_terminal else SELDOM) and not (is_finished and on_terminal):
            return
        last_time = current_time
        if on_terminal:
            bar = bar or _Bar(subject)
            sys.stderr.write(_CLEARED + bar.line(done, total, loss_text) + ("\n" if is_finished else ""))
            sys.stderr.flush()
            _has_bar = not is_finished
        elif not is_finished:
            total_text = f" of {total:,}" if total else ""
            time_text = _time_left(done, total, current_time - start_time)
            note(f"{subject}: {done:,}{total_text}, {time_text}{loss_text and f', {loss_text}'}")

    return report


def _time_left(done: int, total: int | None, seconds: float) -> str:
    if not total or not done:
        return f"{seconds:,.0f} s so far"
    return f"about {seconds * (total - done) / done:,.0f} s left"


class _Bar:
    """A line with a bar, the counts, the rate, the time left, and the loss of a training, drawn by rich."""

    def __init__(self, subject: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._text = StringIO()
        self._console = Console(file=self._text, force_terminal=True, color_system=None, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}", markup=False),
            console=self._console,
            auto_refresh=False,
        )
        self._task = self._progress.add_task(printable(subject), total=None, rate="", loss="")
        self._start_time = time.monotonic()

    def line(self, done: int, total: int | None, loss_text: str = "") -> str:
        """The line for a state of the work."""
        rate = done / max(time.monotonic() - self._start_time, 1e-9)
        rate_text = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
        self._progress.update(self._task, completed=done, total=total, rate=rate_text, loss=loss_text)
        self._text.seek(0)
        self._text.truncate()
        self._console.print(self._progress.get_renderable(), end="")
        return self._text.getvalue().rstrip()


def confirm(question: str) -> None:
    """Ask on stderr, as stdout is for results. Raises `typer.Abort` unless the answer is yes."""
    sys.stderr.write(f"{printable(question)} [y/N]: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(printable(text) + "\n")


class _LogLines(logging.Handler):
    """Writes each message as `note` does; what is on screen of a progress gives way, and comes again with its next
    step.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message. An error of stderr is let through, as one of every other line."""
        global _has_bar
        if _has_bar:
            sys.stderr.write(_CLEARED)
            _has_bar = False
        note(self.format(record))


@contextmanager
def log_lines() -> Iterator[None]:
    """While a command runs, what the platform's packages log is written on stderr, from INFO on, and nowhere else."""
    handler = _LogLines()
    loggers = [logging.getLogger(package) for package in LOGGERS]
    states = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # what a library sets up for the root would write each line twice
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, states, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
