"""What a command that was interrupted leaves, and which command goes on."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from kgplatform.cli.output import fail, note
from kgplatform.errors import KgpError
from kgplatform.interrupt import EXIT_CODE, Stopped

_IN_GRAPH: Final = "what was written so far is in the graph, and the same command goes on from there"
_ALL_OR_NOTHING: Final = "nothing is half-written, and the same command starts from the beginning"
_NOTHING: Final = "nothing was changed"
_TRAINING: Final = "what was saved so far, if anything, is in the folder of --out, and the same command goes on"

STATE_BY_COMMAND: Final[Mapping[str, str]] = {
    "ingest medmkg": _IN_GRAPH,
    "ingest triples": _IN_GRAPH,
    "ingest radgraph": _IN_GRAPH,
    "ingest with": _IN_GRAPH,
    "construct run": _IN_GRAPH,
    "construct select": _ALL_OR_NOTHING,
    "construct compare": "no unfinished page is left; answers of the models are stored, and the same command uses them",
    "construct texts": _ALL_OR_NOTHING,
    "construct explain": _NOTHING,
    "generate": _IN_GRAPH,
    "embed": _IN_GRAPH,
    "predict image": _IN_GRAPH,
    "predict links": _IN_GRAPH,
    "naf score": "either all scores are new or none; the same command scores all images again",
    "naf explain": _NOTHING,
    "naf filter": f"either all marks are new or none, {_ALL_OR_NOTHING}",
    "runs list": _NOTHING,
    "runs show": _NOTHING,
    "runs undo": "what was removed so far stays removed, and the same command goes on from there",
    "phantom build": _ALL_OR_NOTHING,
    "phantom questions": _ALL_OR_NOTHING,
    "export": _ALL_OR_NOTHING,
    "split": _ALL_OR_NOTHING,
    "pairs": _ALL_OR_NOTHING,
    "assess sample": _ALL_OR_NOTHING,
    "assess score": "no unfinished file is left, and the same command starts from the beginning",
    "browser-setup": "no unfinished file is left, and the same command starts from the beginning",
    "train links": _TRAINING,
    "train generator": _TRAINING,
    "train retrieval": _TRAINING,
    "train images": _TRAINING,
    "train vqa": _TRAINING,
    "db start": "the server may be starting: `kgp db status` shows its state, and the same command waits for it",
    "db stop": "the server may be stopping: `kgp db status` shows its state, and the same command waits for it",
    "db status": _NOTHING,
    "db browser": "the server may be starting: `kgp db status` shows its state",
    "db password": _NOTHING,
    "db reset": "part of the graph's files may be gone; the same command deletes the rest",
    "db import": "the import is not complete, or not checked: run `kgp db reset`, then the same command",
    "stats": _NOTHING,
    "query": _NOTHING,
    "search": _NOTHING,
    "ask": _NOTHING,
    "vqa explain": _NOTHING,
    "audit": _NOTHING,
    "doctor": _NOTHING,
}


_reporting = threading.Lock()
_WAIT: Final = 2.0  # seconds for the other thread that reports
_reported = False


def report_interruption(arguments: Sequence[str], as_json: bool, stopped: Stopped | None = None) -> int:
    """Tell in one line, once, what is kept and which command goes on; returns the exit code."""
    global _reported
    if _reporting.acquire(timeout=_WAIT):
        if not _reported:
            _reported = True
            _write(_text(arguments, stopped), as_json)
        _reporting.release()
    return EXIT_CODE


def _text(arguments: Sequence[str], stopped: Stopped | None) -> str:
    command = shlex.join(["kgp", *arguments])
    if stopped is not None:
        return f"{stopped.message}; the same command goes on from there: {command}"
    name = _name(arguments)
    only_reads = "--dry-run" in arguments or (name == "predict links" and "--write" not in arguments)
    state_text = _NOTHING if only_reads else STATE_BY_COMMAND.get(name, _NOTHING)
    command_note = "" if state_text == _NOTHING or state_text.endswith(" its state") else f": {command}"
    return f"interrupted; {state_text}{command_note}"


def _write(message: str, as_json: bool) -> None:
    """Write the line; where whoever reads it was interrupted, too (`kgp … | less`), nobody is there to read it."""
    try:
        if as_json:
            error = KgpError(message)
            error.kind = Stopped.kind
            fail(error, as_json)
        else:
            note(("\n" if sys.stderr.isatty() else "") + message)
        sys.stdout.flush()
    except OSError:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _name(arguments: Sequence[str]) -> str:
    """The command that was called, without its options."""
    command_words = [argument for argument in arguments if not argument.startswith("-")]
    return next(
        (
            command_name
            for command_name in (" ".join(command_words[:2]), *command_words[:1])
            if command_name in STATE_BY_COMMAND
        ),
        "",
    )
