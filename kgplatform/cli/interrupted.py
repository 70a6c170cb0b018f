"""What a command that was interrupted leaves, and which command goes on."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from kgplatform.cli.output import fail, note
from kgplatform.errors import KgpError
from kgplatform.interrupt import EXIT_CODE, Stopped

_IN_GRAPH: Final = "what was written so far is in the graph, and the same command goes on from there"
_WHOLE: Final = "no file was written, and the same command begins anew"
_NOTHING: Final = "nothing was changed"
_TRAINING: Final = "what was saved last is in the folder of --out, and the same command goes on from there"

KEPT: Final[Mapping[str, str]] = {
    "ingest medmkg": _IN_GRAPH,
    "ingest triples": _IN_GRAPH,
    "ingest radgraph": _IN_GRAPH,
    "ingest with": _IN_GRAPH,
    "construct run": _IN_GRAPH,
    "construct select": _WHOLE,
    "construct texts": _WHOLE,
    "construct explain": _NOTHING,
    "generate": _IN_GRAPH,
    "embed": _IN_GRAPH,
    "predict links": _IN_GRAPH,
    "naf score": "the scores are all new, or all as before; the same command goes over all images again",
    "naf explain": _NOTHING,
    "naf filter": "the marks are all new, or all as before, and no file was written; the same command begins anew",
    "runs list": _NOTHING,
    "runs show": _NOTHING,
    "runs undo": "what was taken out so far is gone, and the same command goes on from there",
    "phantom build": _WHOLE,
    "phantom questions": _WHOLE,
    "export": _WHOLE,
    "split": _WHOLE,
    "pairs": _WHOLE,
    "assess sample": _WHOLE,
    "assess score": "files that were not finished are not there, and the same command begins anew",
    "browser-setup": "files that were not finished are not there, and the same command begins anew",
    "train links": _TRAINING,
    "train generator": _TRAINING,
    "train retrieval": _TRAINING,
    "train vqa": _TRAINING,
    "db start": "the server may be on its way: `kgp db status` tells, and the same command waits for it",
    "db stop": "the server may be on its way down: `kgp db status` tells, and the same command waits for it",
    "db status": _NOTHING,
    "db browser": "the server may be on its way: `kgp db status` tells",
    "db password": _NOTHING,
    "db reset": "part of the graph's files may be gone; the same command deletes the rest",
    "db import": "the import is not complete, or not checked: give `kgp db reset`, then the same command",
    "stats": _NOTHING,
    "query": _NOTHING,
    "search": _NOTHING,
    "ask": _NOTHING,
    "vqa explain": _NOTHING,
    "audit": _NOTHING,
    "doctor": _NOTHING,
}


_reported = threading.Lock()


def report(arguments: Sequence[str], as_json: bool, stopped: Stopped | None = None) -> int:
    """Tell in one line, once, what is kept and which command goes on; returns the exit code."""
    if not _reported.acquire(blocking=False):
        return EXIT_CODE
    command = shlex.join(["kgp", *arguments])
    if stopped is not None:
        text = f"{stopped.message}; the same command goes on from there: {command}"
    else:
        kept = _NOTHING if "--dry-run" in arguments else KEPT.get(_name(arguments), _NOTHING)
        again = "" if kept == _NOTHING or kept.endswith(" tells") else f": {command}"
        text = f"interrupted; {kept}{again}"
    if as_json:
        error = KgpError(text)
        error.kind = Stopped.kind
        fail(error, as_json)
    else:
        note(("\n" if sys.stderr.isatty() else "") + text)
    sys.stdout.flush()
    return EXIT_CODE


def _name(arguments: Sequence[str]) -> str:
    """The command that was called, without its options."""
    words = [word for word in arguments if not word.startswith("-")]
    return next((name for name in (" ".join(words[:2]), *words[:1]) if name in KEPT), "")
