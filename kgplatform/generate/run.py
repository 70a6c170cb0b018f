"""A generator's run over images: those that it has done are skipped, the rest is written batch by batch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

from kgplatform import queries
from kgplatform.batches import GraphBatch
from kgplatform.generate.backend import Asked, Reply
from kgplatform.generate.inputs import FOLDER, Inputs
from kgplatform.generate.reply_file import ReplyFile
from kgplatform.generate.source import KIND, VERSION, Writer
from kgplatform.graph import Graph
from kgplatform.ingest import Progress, name_run, prepare
from kgplatform.load import Load, Prepared, merge
from kgplatform.survey import checked
from kgplatform.trained_on import SYNTHETIC, TrainedOn, is_synthetic, warnings
from kgplatform.triplets.text import Triplet, report_text

T = TypeVar("T")

ASKED_AT_A_TIME: Final = 10_000  # ids in a query for what is done


@dataclass
class Outcome:
    """What a run over images did. `edges` and `seconds` are of this call alone."""

    run: str
    images: int = 0  # that were to be looked at
    skipped: int = 0  # done before
    done: int = 0
    without: int = 0  # done, and no triplet was written of them
    problems: list[tuple[str, str]] = field(default_factory=list)  # image and why there is nothing of it
    triplets: int = 0
    left_out: int = 0  # parts of replies that were no triplets
    tokens: int = 0
    edges: int = 0
    in_run: dict[str, int] = field(
        default_factory=dict
    )  # images, triplets and edges of all calls: what an undo takes out
    linked: int = 0  # entities that are joined to a concept
    entities: int = 0
    ungrounded: list[tuple[str, Triplet]] = field(default_factory=list)
    shortened: list[tuple[str, int]] = field(default_factory=list)  # image, and tokens of its report that are not read
    unfinished: int = 0  # replies that stopped at the limit of their length
    trained_on: TrainedOn = ()
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    waiting: float = 0.0  # of these seconds, those in which the generator waited for the graph
    dry_run: bool = False


def generate(
    graph: Graph,
    given: Inputs,
    writer: Writer,
    *,
    out: Path | None = None,
    dry_run: bool = False,
    progress: Progress = lambda done, total: None,
    told: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Let the generator look at the images that it has not done with these settings, and write what it sees.

    A batch of images is committed as a whole, while the next one is looked at; what was killed goes on after the last
    one. With `out`, replies are also appended to a file of JSON Lines (`ReplyFile`); with `dry_run` nothing goes to the
    graph.
    """
    graph = graph.patient(told)
    run = name_run(KIND, VERSION, writer.parameters, writer.backend.sha256)
    if not dry_run:
        prepare(graph)
    done = _done(graph, run, [row.id for row in given.rows])
    left = {row.id: row for row in given.rows if row.id not in done}
    outcome = Outcome(run, len(given.rows), len(done), dry_run=dry_run, trained_on=writer.backend.trained_on)
    outcome.warnings = _warnings(given, writer.backend.trained_on)
    if not left and (dry_run or not done):
        return outcome
    load = None if dry_run else _load(graph, run, writer, bool(left))
    before = 0 if load is None else load.written  # by a call that was killed
    positions = {row.id: position for position, row in enumerate(given.rows)}
    asked = (Asked(row.id, row.path, report_text(row.sections.values()), positions[row.id]) for row in left.values())

    def write(batch: GraphBatch) -> None:
        if load is not None:
            load.write(Prepared(batch))

    began = time.monotonic()
    with (
        nullcontext() if out is None else closing(ReplyFile(out, writer.backend.name, writer.settings)) as file,
        Beside(write) as writing,
    ):
        for replies in writer.backend.replies(asked):
            if file is not None:
                file.append(replies)
            pairs = [(left[reply.asked.id], reply) for reply in replies]
            batch, ungrounded = writer.batch(pairs)
            writing.take(checked(batch, writer))
            _count(outcome, replies, batch, ungrounded)
            progress(outcome.done + len(outcome.problems), len(left))
    outcome.waiting = writing.waited
    if load is not None:
        closed = graph.write(queries.get("generate/finish"), run=run, rejected=len(outcome.problems)).records
        outcome.in_run = closed[0] if closed else {}  # empty: it was undone meanwhile
        outcome.edges = load.written - before
        if outcome.warnings:
            graph.write(queries.get("runs/warn"), run=run, warnings=outcome.warnings)
    outcome.seconds = time.monotonic() - began
    return outcome


class Beside(Generic[T]):
    """Does one thing at a time beside what its caller does; `waited` is the time that the caller had to wait for it.

    An error shows where the next thing is taken, or at the end; what was taken is finished whatever else goes wrong.
    """

    def __init__(self, does: Callable[[T], object]) -> None:
        self._does = does
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[object] | None = None
        self.waited = 0.0

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Finish; an error that has come up already stays, with a note of this one."""
        try:
            self._wait()
        except Exception as own:
            if error is None:
                raise
            error.add_note(f"and beside it: {own}")
        finally:
            self._thread.shutdown()

    def take(self, thing: T) -> None:
        """Begin with that, when what was taken before is done."""
        self._wait()
        self._under_way = self._thread.submit(self._does, thing)

    def _wait(self) -> None:
        if self._under_way is not None:
            began = time.monotonic()
            error = self._under_way.exception()  # interrupted here, it is still under way
            self._under_way = None
            self.waited += time.monotonic() - began
            if error is not None:
                raise error


def _warnings(given: Inputs, trained: TrainedOn) -> list[str]:
    """What is to be said of the images that are looked at."""
    images = [row for row in given.rows if row.path is not None]
    synthetic = sum(row.properties.get("dataset") in SYNTHETIC or is_synthetic(row.path) for row in images if row.path)
    return warnings(trained, len(images), synthetic)


def _done(graph: Graph, run: str, ids: Sequence[str]) -> set[str]:
    """Which images the run has looked at."""
    found: set[str] = set()
    for start in range(0, len(ids), ASKED_AT_A_TIME):
        chunk = list(ids[start : start + ASKED_AT_A_TIME])
        found.update(row["id"] for row in graph.read(queries.get("generate/done"), run=run, ids=chunk))
    return found


def _load(graph: Graph, run: str, writer: Writer, extends: bool) -> Load:
    properties = {
        "kind": KIND,
        "source": writer.backend.name,
        "model": writer.backend.name,
        "sha256": writer.backend.sha256,
        "version": VERSION,
        "parameters": json.dumps(writer.parameters, sort_keys=True),
        "trained_on": [one.name for one in writer.backend.trained_on],
    }
    load = Load(graph, run, properties, merge, extends=extends)
    load.position = load.begin()  # what is done is skipped by image, not by row
    return load


def _count(
    outcome: Outcome, replies: Sequence[Reply], batch: GraphBatch, ungrounded: list[tuple[str, Triplet]]
) -> None:
    for reply in replies:
        if reply.problem is not None:
            outcome.problems.append((reply.asked.id, reply.problem))
            continue
        outcome.done += 1
        outcome.unfinished += not reply.finished
        if reply.unread:
            outcome.shortened.append((reply.asked.id, reply.unread))
        outcome.without += not reply.triplets
        outcome.triplets += len(reply.triplets)
        outcome.left_out += reply.left_out
        outcome.tokens += reply.tokens
    outcome.entities += sum(relation == "SHOWS" for _, relation, _ in batch.edges)
    outcome.linked += sum(relation == "REFERS_TO" for _, relation, _ in batch.edges)
    outcome.ungrounded.extend(ungrounded)


def images_by_path(graph: Graph) -> dict[str, str]:
    """The graph's images by their path; not those that share one, and no pictures that belong to no data set."""
    found: dict[str, set[str]] = {}
    for row in graph.read(queries.get("generate/paths"), dataset=FOLDER):
        found.setdefault(row["path"], set()).add(row["id"])
    return {path: next(iter(ids)) for path, ids in found.items() if len(ids) == 1}
