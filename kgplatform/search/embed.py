"""Embeddings of radiographs and of concepts' names, written into the graph and its vector indexes.

A model has one run, named by the model's hash: nodes that it has embedded are skipped, so the same call twice changes
nothing, what was killed goes on, and images that came later are added. A batch of vectors and the run's counts commit
in one transaction, while the next batch is encoded. An index is made when the vectors are there, which is quicker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgplatform import queries
from kgplatform.background import BackgroundWorker
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.graph import Graph, Transaction
from kgplatform.ingest import constrain, name_run
from kgplatform.load import take_lock
from kgplatform.progress import Progress, SubjectProgress, silent_progress
from kgplatform.radiograph import find_image, require_radiograph
from kgplatform.search import index
from kgplatform.search.encoder import Encoder
from kgplatform.search.index import EmbeddingState, EncoderIdentity, Part
from kgplatform.trained_on import TrainedOn, training_data_kind, unlike_warning
from kgplatform.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)
KIND: Final = "embed"
VERSION: Final = 1  # raised when the same model would give other embeddings
BATCH: Final = 64

Row = tuple[str, str]  # key of the node, and the path or name that is embedded


@dataclass
class Count:
    """Of images or concepts: embedded by this call, embedded before, and without a path or a name; seconds it took."""

    done: int = 0
    before: int = 0
    without: int = 0
    seconds: float = 0.0
    in_parts: int = 0  # names of more tokens than the model reads at a time


@dataclass
class EmbeddingOutcome:
    """What a call did. `problems` are images that could not be embedded, each with the reason."""

    run: str
    model: str
    dimension: int
    images: Count = field(default_factory=Count)
    concepts: Count = field(default_factory=Count)
    problems: list[tuple[str, str]] = field(default_factory=list)
    replaced: int = 0  # nodes whose embedding of another model was taken out
    indexed: list[str] = field(default_factory=list)  # indexes that were made
    indexing: float = 0.0  # of these seconds, those until the indexes were online
    seconds: float = 0.0
    trained_on: TrainedOn = ()
    warnings: tuple[str, ...] = ()
    unlike: int = 0  # images that are unlike all of the model's training

    def part_count(self, part: Part) -> Count:
        """The part's counts."""
        return self.images if part is Part.IMAGES else self.concepts


def embed(
    graph: Graph,
    encoder: Encoder,
    *,
    images: Path | None = None,
    only: Part | None = None,
    batch: int = BATCH,
    replace: bool = False,
    any_modality: bool = False,
    progress: SubjectProgress = silent_progress,
) -> EmbeddingOutcome:
    """Embed what has no embedding of this model: images below the folder `images` and names of concepts. DICOM files
    that are no radiographs are embedded with `any_modality` only.

    Raises, before it embeds, `UsageError` where the model or the folder for it is missing, `InputError` where
    none of the images is there, and `KgpError` where another model's embeddings are there and are not to be replaced.
    """
    start_time = time.monotonic()
    graph = graph.patient()
    constrain(graph)
    model = EncoderIdentity.from_encoder(encoder)
    outcome = EmbeddingOutcome(name_run(KIND, VERSION, {}, model.sha256), model.name, model.width)
    outcome.trained_on = encoder.trained_on
    part_states = [index.state(graph, part) for part in _parts(model, encoder.sees, only)]
    other_embeddings = [(part_state, _others(part_state, model)) for part_state in part_states]
    if not replace:
        _refuse_others(graph, model, other_embeddings)
    work_list: list[tuple[Part, list[tuple[Row, Path | None]]]] = []
    for part_state in part_states:
        part_count = outcome.part_count(part_state.part)
        part_count.before, part_count.without = (
            part_state.models.get(model.digits, 0),
            part_state.nodes - part_state.readable,
        )
        if _has_something(part_state, is_required=only is not None or part_state.part is Part.IMAGES):
            rows = _left(graph, part_state, model, images, outcome.problems)
            work_list.append((part_state.part, rows if any_modality else _radiographs(rows, outcome.problems)))
    index.tidy(graph)
    is_running = (
        any(part_rows for _, part_rows in work_list)
        or any(other_models for _, other_models in other_embeddings)
        or _status(graph, outcome.run) == "running"
    )
    if is_running:
        _begin(graph, model, outcome)
    for part_state, other_models in other_embeddings:
        if other_models:
            index.drop(graph, part_state.part)
            outcome.replaced += index.clear(graph, part_state.part, other_models)
            graph.write(queries.get("embed/retire"), model=model.digits)
    for part, part_rows in work_list:
        stage_start = time.monotonic()
        _write(graph, encoder, model, part, part_rows, batch, outcome, progress(part.plural))
        outcome.part_count(part).seconds = time.monotonic() - stage_start
    stage_start = time.monotonic()
    for part, _ in work_list:
        if outcome.part_count(part).done + outcome.part_count(part).before and index.ensure(
            graph, part, model.width, progress(f"index {part.index}, percent")
        ):
            outcome.indexed.append(part.index)
    outcome.indexing = time.monotonic() - stage_start
    if any(part is Part.IMAGES for part, _ in work_list):
        outcome.warnings = index.graph_warnings(graph, encoder.trained_on)
        if outcome.unlike:
            outcome.warnings += (unlike_warning(outcome.unlike, outcome.images.done),)
    if is_running:
        graph.write(queries.get("embed/finish"), run=outcome.run, rejected=len(outcome.problems))
    if is_running and outcome.warnings:
        graph.write(queries.get("runs/warn"), run=outcome.run, warnings=list(outcome.warnings))
    outcome.seconds = time.monotonic() - start_time
    return outcome


def _parts(model: EncoderIdentity, sees_images: bool, only_part: Part | None) -> list[Part]:
    if sees_images:
        return [only_part] if only_part else list(Part)
    if only_part is Part.IMAGES:
        raise UsageError(f"{model.name} embeds texts only", "Give --model of an image encoder, or --only concepts.")
    if only_part is None:
        logger.warning(f"{model.name} embeds texts only: images are left out")
    return [Part.CONCEPTS]


def _others(part_state: EmbeddingState, model: EncoderIdentity) -> list[str]:
    """The other models with embeddings there."""
    return sorted(part_state.models.keys() - {model.digits})


def _refuse_others(
    graph: Graph, model: EncoderIdentity, other_embeddings: Sequence[tuple[EmbeddingState, list[str]]]
) -> None:
    for part_state, other_models in other_embeddings:
        if other_models:
            model_names = index.model_names(graph)
            owner_names = ", ".join(model_names.get(model_digits, "an unknown model") for model_digits in other_models)
            problem = f"the {part_state.part.plural} have embeddings of {owner_names}, not of {model.name}"
            raise KgpError(problem, "Embed with that model, or remove its embeddings with --replace.")


def _has_something(part_state: EmbeddingState, *, is_required: bool) -> bool:
    """Whether there is something to embed. Raises `KgpError` where there has to be."""
    if part_state.readable:
        return True
    if not is_required:
        logger.warning("the graph has no concepts with a name: none are embedded")
        return False
    if part_state.part is Part.CONCEPTS:
        raise KgpError("the graph has no concepts with a name", "Load some: `kgp ingest`, `kgp construct run`.")
    if not part_state.nodes:
        raise KgpError("the graph has no images", "Load some: `kgp ingest`, `kgp construct run`.")
    hint = "Load them with their mapping or their data set, or embed concepts alone: --only concepts"
    raise KgpError("no image of the graph has a path", hint)


def _left(
    graph: Graph,
    part_state: EmbeddingState,
    model: EncoderIdentity,
    images_folder: Path | None,
    problems: list[tuple[str, str]],
) -> list[tuple[Row, Path | None]]:
    """What is still to be embedded; images with their places, those without one in `problems`."""
    node_rows = [
        (node_row["key"], node_row["what"])
        for node_row in graph.read(queries.get(f"embed/left_{part_state.part.value}"), model=model.digits)
    ]
    if part_state.part is Part.CONCEPTS:
        return [(node_row, None) for node_row in node_rows]
    if images_folder is None and not node_rows:
        return []
    if images_folder is None:
        raise UsageError("the folder of the images is missing", "Give --images DIR, or --only concepts.")
    if not images_folder.is_dir():
        raise InputError("is not a folder", "Give the folder that the image paths are relative to.", path=images_folder)
    if not any(images_folder.iterdir()):
        raise InputError(
            "the folder is empty", "Give the folder that the image paths are relative to.", path=images_folder
        )
    present_rows: list[tuple[Row, Path | None]] = []
    for node_row in node_rows:
        image_path = find_image(images_folder, node_row[1])
        if image_path is not None and image_path.is_file():
            present_rows.append((node_row, image_path))
        else:
            problems.append(
                (node_row[0], "its path points outside the folder" if image_path is None else f"no file {node_row[1]}")
            )
    if node_rows and not present_rows:
        first_key, first_problem = problems[0]
        image_kind = "images without an embedding" if model.digits in part_state.models else "images"
        problem = f"none of the {counted(len(node_rows), image_kind)} is here; the first, {first_key}: {first_problem}"
        raise InputError(problem, "Give the folder that the image paths are relative to.", path=images_folder)
    return present_rows


def _radiographs(
    rows: Sequence[tuple[Row, Path | None]], problems: list[tuple[str, str]]
) -> list[tuple[Row, Path | None]]:
    """The rows whose image is no DICOM file of another modality; the others go to `problems`."""
    radiograph_rows: list[tuple[Row, Path | None]] = []
    for node_row, image_path in rows:
        try:
            if image_path is not None:
                require_radiograph(image_path)
        except InputError as error:
            problems.append((node_row[0], f"{error.problem} (--any-modality embeds it)"))
        else:
            radiograph_rows.append((node_row, image_path))
    return radiograph_rows


def _status(graph: Graph, run_id: str) -> str | None:
    return next(
        (model_row["status"] for model_row in graph.read(queries.get("embed/models")) if model_row["run"] == run_id),
        None,
    )


def _begin(graph: Graph, model: EncoderIdentity, outcome: EmbeddingOutcome) -> None:
    run_id = outcome.run
    properties = {
        "kind": KIND,
        "source": model.name,
        "model": model.name,
        "sha256": model.sha256,
        "embedding_model": model.digits,
        "dimension": model.width,
        "version": VERSION,
        "parameters": "{}",
        "trained_on": [data_set.name for data_set in outcome.trained_on],
        "training_data": training_data_kind(outcome.trained_on),
    }
    [answer] = graph.write(queries.get("embed/begin"), run=run_id, properties=properties).records
    if answer["was"] == "undoing":
        raise KgpError(f"run {run_id} is half undone", f"Finish it first: kgp runs undo {run_id}")


def _write(
    graph: Graph,
    encoder: Encoder,
    model: EncoderIdentity,
    part: Part,
    part_rows: Sequence[tuple[Row, Path | None]],
    batch_size: int,
    outcome: EmbeddingOutcome,
    progress: Progress,
) -> None:
    """Embed the rows batch by batch; each is written while the next one is encoded."""
    part_count, remaining_rows = outcome.part_count(part), iter(part_rows)

    def commit(vector_rows: list[list[Any]]) -> None:
        def work(transaction: Transaction) -> int:
            if take_lock(transaction, outcome.run)["status"] not in ("running", "done"):
                raise KgpError(f"run {outcome.run} was undone meanwhile", "Embed again when the undo is done.")
            [answer] = transaction.run(
                queries.get(f"embed/write_{part.value}"), rows=vector_rows, model=model.digits
            ).records
            written_counts = {Part.IMAGES: 0, Part.CONCEPTS: 0, part: int(answer["written"])}
            transaction.run(
                queries.get("embed/checkpoint"),
                run=outcome.run,
                images=written_counts[Part.IMAGES],
                concepts=written_counts[Part.CONCEPTS],
            )
            return written_counts[part]

        part_count.done += graph.transact(work)

    processed_count = 0
    with BackgroundWorker(commit) as background_writer:
        while row_batch := list(islice(remaining_rows, batch_size)):
            encoded_rows = list(_encoded(encoder, model, row_batch, outcome.problems))
            if part is Part.IMAGES:
                outcome.unlike += _unlike(encoder, encoded_rows)
            if part is Part.CONCEPTS:
                part_count.in_parts += sum(
                    len(encoder.reading(concept_name).parts) > 1 for (_, concept_name), _ in row_batch
                )
            if encoded_rows:
                background_writer.take(encoded_rows)
            processed_count += len(row_batch)
            progress(processed_count, len(part_rows))


def _unlike(encoder: Encoder, vector_rows: Sequence[Sequence[Any]]) -> int:
    """How many of these images are unlike all of the model's training; 0 for an encoder that does not tell."""
    import numpy as np

    tell = getattr(encoder, "unlike", None)
    if tell is None or not vector_rows:
        return 0
    return int(tell(np.array([vector for _, vector in vector_rows], dtype=np.float32)).sum())


def _encoded(
    encoder: Encoder, model: EncoderIdentity, batch_rows: list[tuple[Row, Path | None]], problems: list[tuple[str, str]]
) -> Iterator[list[Any]]:
    """Key and vector of each row; images that cannot be read are left out and go to `problems`."""
    while batch_rows:
        image_paths = [image_path for _, image_path in batch_rows if image_path is not None]
        try:
            vectors = (
                encoder.images(image_paths)
                if image_paths
                else encoder.texts([concept_name for (_, concept_name), _ in batch_rows])
            )
        except InputError as error:
            damaged_rows = [
                (node_row, image_path)
                for node_row, image_path in batch_rows
                if image_path is not None and image_path == error.path
            ]
            if not damaged_rows:
                raise
            problems += [(node_key, error.problem) for (node_key, _), _ in damaged_rows]
            batch_rows = [node_row for node_row in batch_rows if node_row not in damaged_rows]
            continue
        _check(model, vectors, len(batch_rows))
        yield from ([node_key, vector] for ((node_key, _), _), vector in zip(batch_rows, vectors.tolist(), strict=True))
        return


def _check(model: EncoderIdentity, vectors: NDArray[np.float32], row_count: int) -> None:
    """Raise `KgpError` unless these are vectors as the index takes them."""
    import numpy as np

    if vectors.shape != (row_count, model.width):
        raise KgpError(f"{model.name} gave an array of {vectors.shape} for {row_count} inputs of width {model.width}")
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise KgpError(f"{model.name} gave a vector that is not finite or is zero", "The model is damaged.")
