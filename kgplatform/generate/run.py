"""A generator's run over images: those that it has done are skipped, the rest is written batch by batch."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kgplatform import queries
from kgplatform.background import BackgroundWorker
from kgplatform.batches import GraphBatch
from kgplatform.generate.backend import GenerationRequest, GeneratorReply
from kgplatform.generate.inputs import FOLDER, GenerationInputs
from kgplatform.generate.reply_file import ReplyFile
from kgplatform.generate.source import KIND, VERSION, Writer
from kgplatform.graph import Graph
from kgplatform.ingest import name_run, prepare
from kgplatform.load import Load, PreparedBatch, merge
from kgplatform.progress import Progress, no_progress
from kgplatform.survey import validate_batch
from kgplatform.trained_on import (
    SYNTHETIC,
    TrainedOn,
    is_synthetic,
    training_data_kind,
    training_data_warnings,
    unlike_warning,
)
from kgplatform.triplets.text import Triplet, report_text

IDS_PER_QUERY: Final = 10_000  # ids in a query for what is done


@dataclass
class GenerationOutcome:
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
    classified: int = 0  # images whose triplets are a classifier's and not a language model's
    unlike: list[str] = field(default_factory=list)  # images that are unlike all of the model's training
    trained_on: TrainedOn = ()
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    waiting: float = 0.0  # of these seconds, those in which the generator waited for the graph
    dry_run: bool = False


def generate_triplets(
    graph: Graph,
    image_inputs: GenerationInputs,
    writer: Writer,
    *,
    out: Path | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> GenerationOutcome:
    """Let the generator look at the images that it has not done with these settings, and write what it sees.

    A batch of images is committed as a whole, while the next one is looked at; what was killed goes on after the last
    one. With `out`, replies are also appended to a file of JSON Lines (`ReplyFile`); with `dry_run` nothing goes to the
    graph.
    """
    graph = graph.patient()
    run_id = name_run(KIND, VERSION, writer.parameters, writer.backend.sha256)
    if not dry_run:
        prepare(graph)
    done_ids = _done(graph, run_id, [image_input.id for image_input in image_inputs.rows])
    remaining_inputs = {
        image_input.id: image_input for image_input in image_inputs.rows if image_input.id not in done_ids
    }
    outcome = GenerationOutcome(
        run_id, len(image_inputs.rows), len(done_ids), dry_run=dry_run, trained_on=writer.backend.trained_on
    )
    outcome.warnings = _warnings(image_inputs, writer.backend.trained_on)
    if not remaining_inputs and (dry_run or not done_ids):
        return outcome
    load = None if dry_run else _load(graph, run_id, writer, bool(remaining_inputs))
    written_before = 0 if load is None else load.written  # by a call that was killed
    positions = {image_input.id: position for position, image_input in enumerate(image_inputs.rows)}
    requests = (
        GenerationRequest(
            image_input.id, image_input.path, report_text(image_input.sections.values()), positions[image_input.id]
        )
        for image_input in remaining_inputs.values()
    )

    def write(batch: GraphBatch) -> None:
        if load is not None:
            load.write(PreparedBatch(batch))

    start_time = time.monotonic()
    with (
        nullcontext() if out is None else closing(ReplyFile(out, writer.backend.name, writer.settings)) as reply_file,
        BackgroundWorker(write) as background_writer,
    ):
        for replies in writer.backend.replies(requests):
            if reply_file is not None:
                reply_file.append(replies)
            input_replies = [(remaining_inputs[reply.request.id], reply) for reply in replies]
            batch, ungrounded_triplets = writer.batch(input_replies)
            background_writer.take(validate_batch(batch, writer))
            _count(outcome, replies, batch, ungrounded_triplets)
            progress(outcome.done + len(outcome.problems), len(remaining_inputs))
    outcome.waiting = background_writer.waited
    if outcome.unlike:
        outcome.warnings.append(unlike_warning(len(outcome.unlike), outcome.done))
    if load is not None:
        closed_runs = graph.write(queries.get("generate/finish"), run=run_id, rejected=len(outcome.problems)).records
        outcome.in_run = closed_runs[0] if closed_runs else {}  # empty: it was undone meanwhile
        outcome.edges = load.written - written_before
        if outcome.warnings:
            graph.write(queries.get("runs/warn"), run=run_id, warnings=outcome.warnings)
    outcome.seconds = time.monotonic() - start_time
    return outcome


def _warnings(image_inputs: GenerationInputs, trained_on: TrainedOn) -> list[str]:
    """What is to be said of the images that are looked at."""
    readable_inputs = [image_input for image_input in image_inputs.rows if image_input.path is not None]
    synthetic_count = sum(
        image_input.properties.get("dataset") in SYNTHETIC or is_synthetic(image_input.path)
        for image_input in readable_inputs
        if image_input.path
    )
    return training_data_warnings(trained_on, len(readable_inputs), synthetic_count)


def _done(graph: Graph, run_id: str, image_ids: Sequence[str]) -> set[str]:
    """Which images the run has looked at."""
    done_ids: set[str] = set()
    for chunk_start in range(0, len(image_ids), IDS_PER_QUERY):
        id_chunk = list(image_ids[chunk_start : chunk_start + IDS_PER_QUERY])
        done_ids.update(
            done_row["id"] for done_row in graph.read(queries.get("generate/done"), run=run_id, ids=id_chunk)
        )
    return done_ids


def _load(graph: Graph, run_id: str, writer: Writer, extends: bool) -> Load:
    properties = {
        "kind": KIND,
        "source": writer.backend.name,
        "model": writer.backend.name,
        "sha256": writer.backend.sha256,
        "version": VERSION,
        "parameters": json.dumps(writer.parameters, sort_keys=True),
        "trained_on": [data_set.name for data_set in writer.backend.trained_on],
        "training_data": training_data_kind(writer.backend.trained_on),
    }
    load = Load(graph, run_id, properties, merge, extends=extends)
    load.position = load.begin()  # what is done is skipped by image, not by row
    return load


def _count(
    outcome: GenerationOutcome,
    replies: Sequence[GeneratorReply],
    batch: GraphBatch,
    ungrounded_triplets: list[tuple[str, Triplet]],
) -> None:
    for reply in replies:
        if reply.problem is not None:
            outcome.problems.append((reply.request.id, reply.problem))
            continue
        outcome.done += 1
        outcome.unfinished += not reply.finished
        outcome.classified += reply.classified
        if reply.unlike:
            outcome.unlike.append(reply.request.id)
        if reply.unread:
            outcome.shortened.append((reply.request.id, reply.unread))
        outcome.without += not reply.triplets
        outcome.triplets += len(reply.triplets)
        outcome.left_out += reply.left_out
        outcome.tokens += reply.tokens
    outcome.entities += sum(relation == "SHOWS" for _, relation, _ in batch.edges)
    outcome.linked += sum(relation == "REFERS_TO" for _, relation, _ in batch.edges)
    outcome.ungrounded.extend(ungrounded_triplets)


def images_by_path(graph: Graph) -> dict[str, str]:
    """The graph's images by their path; not those that share one, and no pictures that belong to no data set."""
    ids_by_path: dict[str, set[str]] = {}
    for path_row in graph.read(queries.get("generate/paths"), dataset=FOLDER):
        ids_by_path.setdefault(path_row["path"], set()).add(path_row["id"])
    return {image_path: next(iter(image_ids)) for image_path, image_ids in ids_by_path.items() if len(image_ids) == 1}
