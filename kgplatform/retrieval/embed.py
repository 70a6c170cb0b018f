"""Embeddings of radiographs and of concepts' names, written into the graph and its vector indexes.

A model has one run, named by the model's hash: nodes that it has embedded are skipped, so the same call twice changes
nothing, what was killed goes on, and images that came later are added. A batch of vectors and the run's counts commit
in one transaction, while the next batch is encoded. An index is made when the vectors are there, which is quicker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgplatform import queries
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.generate.run import Beside
from kgplatform.graph import Graph, Transaction
from kgplatform.ingest import Progress, constrain, name_run
from kgplatform.load import take_lock
from kgplatform.radiograph import place
from kgplatform.retrieval import index
from kgplatform.retrieval.encoder import Encoder
from kgplatform.retrieval.index import Model, Part, State
from kgplatform.trained_on import TrainedOn
from kgplatform.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
class Outcome:
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

    def of(self, part: Part) -> Count:
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
    progress: Callable[[str], Progress] = lambda what: lambda done, total: None,
    told: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Embed what has no embedding of this model: images below the folder `images` and names of concepts.

    Raises, before it embeds, `UsageError` where the model or the folder for it is missing, `InputError` where
    none of the images is there, and `KgpError` where another model's embeddings are there and are not to be replaced.
    """
    began = time.monotonic()
    graph = graph.patient(told)
    constrain(graph)
    model = Model.of(encoder)
    outcome = Outcome(name_run(KIND, VERSION, {}, model.sha256), model.name, model.width)
    outcome.trained_on = encoder.trained_on
    states = [index.state(graph, part) for part in _parts(model, encoder.sees, only, told)]
    others = [(found, _others(found, model)) for found in states]
    if not replace:
        _refuse_others(graph, model, others)
    work: list[tuple[Part, list[tuple[Row, Path | None]]]] = []
    for found in states:
        count = outcome.of(found.part)
        count.before, count.without = found.models.get(model.digits, 0), found.nodes - found.readable
        if _has_something(found, alone=only is not None or found.part is Part.IMAGES, told=told):
            work.append((found.part, _left(graph, found, model, images, outcome.problems)))
    index.tidy(graph)
    running = any(rows for _, rows in work) or any(old for _, old in others) or _status(graph, outcome.run) == "running"
    if running:
        _begin(graph, model, outcome)
    for found, old in others:
        if old:
            index.drop(graph, found.part)
            outcome.replaced += index.clear(graph, found.part, old)
            graph.write(queries.get("embed/retire"), model=model.digits)
    for part, rows in work:
        since = time.monotonic()
        _write(graph, encoder, model, part, rows, batch, outcome, progress(part.plural))
        outcome.of(part).seconds = time.monotonic() - since
    since = time.monotonic()
    for part, _ in work:
        if outcome.of(part).done + outcome.of(part).before and index.ensure(
            graph, part, model.width, progress(f"index {part.index}, percent")
        ):
            outcome.indexed.append(part.index)
    outcome.indexing = time.monotonic() - since
    if any(part is Part.IMAGES for part, _ in work):
        outcome.warnings = index.warnings(graph, encoder.trained_on)
    if running:
        graph.write(queries.get("embed/finish"), run=outcome.run, rejected=len(outcome.problems))
    if running and outcome.warnings:
        graph.write(queries.get("runs/warn"), run=outcome.run, warnings=list(outcome.warnings))
    outcome.seconds = time.monotonic() - began
    return outcome


def _parts(model: Model, sees: bool, only: Part | None, told: Callable[[str], None]) -> list[Part]:
    if sees:
        return [only] if only else list(Part)
    if only is Part.IMAGES:
        raise UsageError(f"{model.name} embeds texts only", "Give --model of an image encoder, or --only concepts.")
    if only is None:
        told(f"{model.name} embeds texts only: images are left out")
    return [Part.CONCEPTS]


def _others(found: State, model: Model) -> list[str]:
    """The other models with embeddings there."""
    return sorted(found.models.keys() - {model.digits})


def _refuse_others(graph: Graph, model: Model, others: Sequence[tuple[State, list[str]]]) -> None:
    for found, old in others:
        if old:
            known = index.names(graph)
            whose = ", ".join(known.get(one, "an unknown model") for one in old)
            what = f"the {found.part.plural} have embeddings of {whose}, not of {model.name}"
            raise KgpError(what, "Embed with that model, or let --replace take its embeddings out.")


def _has_something(found: State, *, alone: bool, told: Callable[[str], None]) -> bool:
    """Whether there is something to embed. Raises `KgpError` where there has to be."""
    if found.readable:
        return True
    if not alone:
        told("the graph has no concepts with a name: none are embedded")
        return False
    if found.part is Part.CONCEPTS:
        raise KgpError("the graph has no concepts with a name", "Load some: `kgp ingest`, `kgp construct run`.")
    if not found.nodes:
        raise KgpError("the graph has no images", "Load some: `kgp ingest`, `kgp construct run`.")
    hint = "Load them with their mapping or their data set, or embed concepts alone: --only concepts"
    raise KgpError("no image of the graph has a path", hint)


def _left(
    graph: Graph, found: State, model: Model, root: Path | None, problems: list[tuple[str, str]]
) -> list[tuple[Row, Path | None]]:
    """What is still to be embedded; images with their places, those without one in `problems`."""
    rows = [
        (row["key"], row["what"])
        for row in graph.read(queries.get(f"embed/left_{found.part.value}"), model=model.digits)
    ]
    if found.part is Part.CONCEPTS:
        return [(row, None) for row in rows]
    if root is None and not rows:
        return []
    if root is None:
        raise UsageError("the folder of the images is missing", "Give --images DIR, or --only concepts.")
    if not root.is_dir():
        raise InputError("is no folder", "Give the folder that the images' paths begin in.", path=root)
    if not any(root.iterdir()):
        raise InputError("the folder is empty", "Give the folder that the images' paths begin in.", path=root)
    there: list[tuple[Row, Path | None]] = []
    for row in rows:
        at = place(root, row[1])
        if at is not None and at.is_file():
            there.append((row, at))
        else:
            problems.append((row[0], "its path leads out of the folder" if at is None else f"no file {row[1]}"))
    if rows and not there:
        key, why = problems[0]
        which = "images without an embedding" if model.digits in found.models else "images"
        what = f"none of the {counted(len(rows), which)} is here; the first, {key}: {why}"
        raise InputError(what, "Give the folder that the images' paths begin in.", path=root)
    return there


def _status(graph: Graph, run: str) -> str | None:
    return next((row["status"] for row in graph.read(queries.get("embed/models")) if row["run"] == run), None)


def _begin(graph: Graph, model: Model, outcome: Outcome) -> None:
    run = outcome.run
    properties = {
        "kind": KIND,
        "source": model.name,
        "model": model.name,
        "sha256": model.sha256,
        "embedding_model": model.digits,
        "dimension": model.width,
        "version": VERSION,
        "parameters": "{}",
        "trained_on": [one.name for one in outcome.trained_on],
    }
    [answer] = graph.write(queries.get("embed/begin"), run=run, properties=properties).records
    if answer["was"] == "undoing":
        raise KgpError(f"run {run} is half undone", f"Finish it first: kgp runs undo {run}")


def _write(
    graph: Graph,
    encoder: Encoder,
    model: Model,
    part: Part,
    rows: Sequence[tuple[Row, Path | None]],
    batch: int,
    outcome: Outcome,
    progress: Progress,
) -> None:
    """Embed the rows batch by batch; each is written while the next one is encoded."""
    count, left = outcome.of(part), iter(rows)

    def commit(vectors: list[list[Any]]) -> None:
        def work(transaction: Transaction) -> int:
            if take_lock(transaction, outcome.run)["status"] not in ("running", "done"):
                raise KgpError(f"run {outcome.run} was undone meanwhile", "Embed again when the undo is done.")
            [answer] = transaction.run(
                queries.get(f"embed/write_{part.value}"), rows=vectors, model=model.digits
            ).records
            written = {Part.IMAGES: 0, Part.CONCEPTS: 0, part: int(answer["written"])}
            transaction.run(
                queries.get("embed/checkpoint"),
                run=outcome.run,
                images=written[Part.IMAGES],
                concepts=written[Part.CONCEPTS],
            )
            return written[part]

        count.done += graph.transact(work)

    seen = 0
    with Beside(commit) as writing:
        while some := list(islice(left, batch)):
            encoded = list(_encoded(encoder, model, some, outcome.problems))
            if part is Part.CONCEPTS:
                count.in_parts += sum(len(encoder.reading(name).parts) > 1 for (_, name), _ in some)
            if encoded:
                writing.take(encoded)
            seen += len(some)
            progress(seen, len(rows))


def _encoded(
    encoder: Encoder, model: Model, rows: list[tuple[Row, Path | None]], problems: list[tuple[str, str]]
) -> Iterator[list[Any]]:
    """Key and vector of each row; images that cannot be read are left out and go to `problems`."""
    while rows:
        paths = [at for _, at in rows if at is not None]
        try:
            vectors = encoder.images(paths) if paths else encoder.texts([name for (_, name), _ in rows])
        except InputError as error:
            bad = [(row, at) for row, at in rows if at is not None and at == error.path]
            if not bad:
                raise
            problems += [(key, error.message.removeprefix(f"{error.path}: ")) for (key, _), _ in bad]
            rows = [row for row in rows if row not in bad]
            continue
        _check(model, vectors, len(rows))
        yield from ([key, vector] for ((key, _), _), vector in zip(rows, vectors.tolist(), strict=True))
        return


def _check(model: Model, vectors: NDArray[np.float32], count: int) -> None:
    """Raise `KgpError` unless these are vectors as the index takes them."""
    import numpy as np

    if vectors.shape != (count, model.width):
        raise KgpError(f"{model.name} gave an array of {vectors.shape} for {count} inputs of width {model.width}")
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise KgpError(f"{model.name} gave a vector that is not finite or is zero", "The model is damaged.")
