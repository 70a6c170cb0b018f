"""Predicted links in the graph: ``(head)-[:PREDICTED {relation, model, score, rank, runs}]->(tail)``.

A prediction is a guess: statistics, NaF and exports leave it out, and NaF scores stay up to date. It is asserted by a
`Run` of kind ``prediction``, written exactly once as a load is, and taken back with `kgp runs undo`. It holds no node:
undoing the load that brought an entity takes the predictions about it, too.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeVar

from kgplatform import queries
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef, Properties
from kgplatform.errors import InputError
from kgplatform.graph import Graph, Transaction
from kgplatform.ingest import BATCH_ROWS, PREDICTION, Progress, Report, name_run
from kgplatform.load import Load, Merged, Prepared
from kgplatform.schema import NODE_TYPES, relation_problem
from kgplatform.survey import Account, Survey

VERSION: Final = 1  # raised when the same predictions would give another graph
SHOWN: Final = 5  # unknown entities that an error names
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_HINT: Final = "Nothing was written."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted edge: its ends as (label, key), such as ``("Concept", "C0032285")``, the model's score (higher is
    likelier), and its rank among the candidates, from 1.
    """

    head: NodeRef
    relation: str
    tail: NodeRef
    score: float
    rank: int


def write(
    graph: Graph,
    predictions: Iterable[Prediction],
    *,
    model: str,
    checkpoint_sha256: str,
    parameters: Mapping[str, Any],
    batch_rows: int = BATCH_ROWS,
    progress: Progress = lambda done, total: None,
    told: Callable[[str], None] = lambda _: None,
) -> Report:
    """Write what the model of that name and checkpoint predicts. The run is named by all of this, in any order of the
    predictions: the same call twice changes nothing, and one that was killed is finished by the next.

    Raises `InputError`, before anything is written, for an entity that is not in the graph, a relation that cannot join
    its ends, a score that is not finite, and a triplet with two scores or ranks.
    """
    rows = _distinct(_checked(number, row) for number, row in enumerate(predictions, 1))
    about = _about(model, checkpoint_sha256, parameters)
    sha256 = hashlib.sha256(json.dumps([_identity(row) for row in rows]).encode()).hexdigest()
    run = name_run(PREDICTION, VERSION, about, sha256)
    graph = graph.patient(told)
    _require_entities(graph, rows)
    properties = {
        "kind": PREDICTION,
        "source": model,
        "model": model,
        "checkpoint_sha256": checkpoint_sha256,
        "sha256": sha256,
        "version": VERSION,
        "parameters": json.dumps(about["parameters"], sort_keys=True),
    }

    def merge(transaction: Transaction, prepared: Prepared, run: str, replan: bool) -> Merged:
        ids = _find_all(transaction, prepared)
        merging = queries.get("predictions/merge")
        merged = transaction.run(merging, replan=replan, ids=ids, rows=prepared.edges, model=model, run=run)
        return Merged(merged.relationships_created)

    load = Load(graph, run, properties, merge)
    resumed_at = load.begin()
    load.write_all(_batches(rows, batch_rows), lambda done: progress(done, len(rows)))
    load.finish(Survey(Account(len(rows))))
    return Report(run, Account(len(rows), load.written, len(rows) - load.written), Account(), resumed_at)


def _about(model: str, checkpoint_sha256: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What names the run beside the predictions, as JSON has it."""
    if not model or len(model) > 200 or not model.isprintable():
        raise InputError("the model's name must be 1-200 printable characters", _HINT)
    if _SHA256.fullmatch(checkpoint_sha256) is None:
        raise InputError("the checkpoint's sha256 must be 64 hexadecimal digits in lower case", _HINT)
    try:
        plain = json.loads(json.dumps(dict(parameters), allow_nan=False))
    except (TypeError, ValueError):
        raise InputError("the parameters cannot be written as JSON", _HINT) from None
    return {"model": model, "checkpoint_sha256": checkpoint_sha256, "parameters": plain}


def _checked(number: int, row: Prediction) -> Prediction:
    """The prediction in plain types; raises `InputError` with its number, from 1."""

    def refuse(problem: str) -> InputError:
        return InputError(f"prediction {number}: {problem}", _HINT)

    head, tail = (row.head[0], row.head[1]), (row.tail[0], row.tail[1])
    for label, key in (head, tail):
        if label not in NODE_TYPES:
            raise refuse(f"its ends must be of {', '.join(NODE_TYPES)}")
        if not isinstance(key, str) or not key or _unencodable(key):
            raise refuse("an entity's key must be text")
    problem = relation_problem(row.relation, head[0], tail[0])
    if problem:
        raise refuse(problem)
    try:
        score, rank = float(row.score), operator.index(row.rank)
    except (TypeError, ValueError, OverflowError):
        raise refuse("the score must be a number and the rank a whole number") from None
    if not math.isfinite(score):
        raise refuse("the score is not finite")
    if not 1 <= rank < 1 << 63:
        raise refuse("ranks begin at 1")
    return Prediction(head, row.relation, tail, score + 0.0, rank)  # -0.0 is 0.0 for the database, too


def _unencodable(text: str) -> bool:
    """Whether the text holds half of a surrogate pair, which no database can hold."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _parts(items: list[T], size: int) -> Iterator[list[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _triplet(row: Prediction) -> EdgeRef:
    return row.head, row.relation, row.tail


def _identity(row: Prediction) -> list[Any]:
    return [*_triplet(row), row.score, row.rank]


def _distinct(rows: Iterable[Prediction]) -> list[Prediction]:
    """The predictions in order of their triplets, each once."""
    distinct = []
    for (head, relation, tail), same in groupby(sorted(set(rows), key=_triplet), key=_triplet):
        first, *others = same
        if others:
            what = f"{_shown(head)} {relation} {_shown(tail)} is predicted with several scores or ranks"
            raise InputError(what, f"Keep one of them. {_HINT}")
        distinct.append(first)
    if not distinct:
        raise InputError("there are no predictions to write", _HINT)
    return distinct


def _require_entities(graph: Graph, rows: list[Prediction]) -> None:
    """Raise `InputError` unless all ends of the predictions are in the graph."""
    refs = sorted({ref for row in rows for ref in (row.head, row.tail)})
    missing: list[NodeRef] = []
    for label, of_label in groupby(refs, key=operator.itemgetter(0)):
        for keys in _parts([key for _, key in of_label], BATCH_ROWS):
            named = [[key, {}, place] for place, key in enumerate(keys)]
            [answer] = graph.read(queries.get(f"ingest/find_{label.lower()}"), rows=named)
            found = {place for place, _, _ in answer["nodes"]}
            missing += [(label, key) for place, key in enumerate(keys) if place not in found]
    if missing:
        some = ", ".join(map(_shown, missing[:SHOWN])) + (" …" if len(missing) > SHOWN else "")
        what = f"{len(missing):,} of {len(refs):,} predicted entities are not in the graph: {some}"
        raise InputError(what, f"Predict with the export of this graph, or load what it lacks. {_HINT}")


def _shown(ref: NodeRef) -> str:
    label, key = ref
    return f"{label} {key if key.isprintable() and len(key) <= 80 else '(unprintable key)'}"


def _batches(rows: list[Prediction], size: int) -> Iterator[GraphBatch]:
    for part in _parts(rows, size):
        nodes: dict[NodeRef, Properties] = {ref: {} for row in part for ref in (row.head, row.tail)}
        edges: dict[EdgeRef, Properties] = {_triplet(row): {"score": row.score, "rank": row.rank} for row in part}
        yield GraphBatch(len(part), nodes, edges)


def _find_all(transaction: Transaction, prepared: Prepared) -> list[str]:
    """The element ids of the batch's nodes by place; raises `InputError` when one has gone meanwhile."""
    ids: dict[int, str] = {}
    for label, rows in prepared.nodes.items():
        [answer] = transaction.run(queries.get(f"ingest/find_{label.lower()}"), rows=rows).records
        ids.update((place, element) for place, element, _ in answer["nodes"])
    if len(ids) < len(prepared.refs):
        hint = "Once it is in the graph again, the same command goes on from here."
        raise InputError("a predicted entity was taken out of the graph meanwhile", hint)
    return [ids[place] for place in range(len(ids))]
