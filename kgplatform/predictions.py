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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeVar

from kgplatform import queries
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef, Properties
from kgplatform.errors import InputError
from kgplatform.graph import Graph, Transaction
from kgplatform.ingest import BATCH_ROWS, PREDICTION, LoadReport, name_run
from kgplatform.load import Load, Merged, PreparedBatch
from kgplatform.progress import Progress, no_progress
from kgplatform.schema import NODE_TYPES, relation_problem
from kgplatform.survey import Account, Survey

VERSION: Final = 1  # raised when the same predictions would give another graph
MAX_UNKNOWN: Final = 5  # unknown entities that an error names
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


def write_predictions(
    graph: Graph,
    predictions: Iterable[Prediction],
    *,
    model: str,
    checkpoint_sha256: str,
    parameters: Mapping[str, Any],
    batch_rows: int = BATCH_ROWS,
    progress: Progress = no_progress,
) -> LoadReport:
    """Write what the model of that name and checkpoint predicts. The run is named by all of this, in any order of the
    predictions: the same call twice changes nothing, and one that was killed is finished by the next.

    Raises `InputError`, before anything is written, for an entity that is not in the graph, a relation that cannot join
    its ends, a score that is not finite, and a triplet with two scores or ranks.
    """
    distinct_predictions = _distinct(
        _checked(prediction_number, prediction) for prediction_number, prediction in enumerate(predictions, 1)
    )
    run_parameters = _about(model, checkpoint_sha256, parameters)
    predictions_sha256 = hashlib.sha256(
        json.dumps([_identity(prediction) for prediction in distinct_predictions]).encode()
    ).hexdigest()
    run_id = name_run(PREDICTION, VERSION, run_parameters, predictions_sha256)
    graph = graph.patient()
    _require_entities(graph, distinct_predictions)
    properties = {
        "kind": PREDICTION,
        "source": model,
        "model": model,
        "checkpoint_sha256": checkpoint_sha256,
        "sha256": predictions_sha256,
        "version": VERSION,
        "parameters": json.dumps(run_parameters["parameters"], sort_keys=True),
    }

    def merge(transaction: Transaction, prepared: PreparedBatch, run_id: str, replan: bool) -> Merged:
        element_ids = _find_all(transaction, prepared)
        merge_query = queries.get("predictions/merge")
        merged = transaction.run(
            merge_query, replan=replan, ids=element_ids, rows=prepared.edges, model=model, run=run_id
        )
        return Merged(merged.relationships_created)

    load = Load(graph, run_id, properties, merge)
    resumed_at = load.begin()
    load.write_all(_batches(distinct_predictions, batch_rows), lambda done: progress(done, len(distinct_predictions)))
    load.finish(Survey(Account(len(distinct_predictions))))
    return LoadReport(
        run_id,
        Account(len(distinct_predictions), load.written, len(distinct_predictions) - load.written),
        Account(),
        resumed_at,
    )


def _about(model: str, checkpoint_sha256: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What names the run in addition to the predictions, as JSON has it."""
    if not model or len(model) > 200 or not model.isprintable():
        raise InputError("the model's name must be 1-200 printable characters", _HINT)
    if _SHA256.fullmatch(checkpoint_sha256) is None:
        raise InputError("the checkpoint's sha256 must be 64 hexadecimal digits in lower case", _HINT)
    try:
        plain_parameters = json.loads(json.dumps(dict(parameters), allow_nan=False))
    except (TypeError, ValueError):
        raise InputError("the parameters cannot be written as JSON", _HINT) from None
    return {"model": model, "checkpoint_sha256": checkpoint_sha256, "parameters": plain_parameters}


def _checked(prediction_number: int, prediction: Prediction) -> Prediction:
    """The prediction in plain types; raises `InputError` with its number, from 1."""

    def refuse(problem: str) -> InputError:
        return InputError(f"prediction {prediction_number}: {problem}", _HINT)

    head, tail = (prediction.head[0], prediction.head[1]), (prediction.tail[0], prediction.tail[1])
    for entity_label, entity_key in (head, tail):
        if entity_label not in NODE_TYPES:
            raise refuse(f"its ends must be of {', '.join(NODE_TYPES)}")
        if not isinstance(entity_key, str) or not entity_key or _unencodable(entity_key):
            raise refuse("an entity's key must be text")
    problem = relation_problem(prediction.relation, head[0], tail[0])
    if problem:
        raise refuse(problem)
    try:
        score, rank = float(prediction.score), operator.index(prediction.rank)
    except (TypeError, ValueError, OverflowError):
        raise refuse("the score must be a number and the rank a whole number") from None
    if not math.isfinite(score):
        raise refuse("the score is not finite")
    if not 1 <= rank < 1 << 63:
        raise refuse("ranks begin at 1")
    return Prediction(head, prediction.relation, tail, score + 0.0, rank)  # -0.0 is 0.0 for the database, too


def _unencodable(key_text: str) -> bool:
    """Whether the text holds half of a surrogate pair, which no database can hold."""
    return any("\ud800" <= character <= "\udfff" for character in key_text)


def _parts(items: list[T], part_size: int) -> Iterator[list[T]]:
    return (items[part_start : part_start + part_size] for part_start in range(0, len(items), part_size))


def _triplet(prediction: Prediction) -> EdgeRef:
    return prediction.head, prediction.relation, prediction.tail


def _identity(prediction: Prediction) -> list[Any]:
    return [*_triplet(prediction), prediction.score, prediction.rank]


def _distinct(predictions: Iterable[Prediction]) -> list[Prediction]:
    """The predictions in order of their triplets, each once."""
    distinct = []
    for (head, relation, tail), same_triplet in groupby(sorted(set(predictions), key=_triplet), key=_triplet):
        first_prediction, *other_predictions = same_triplet
        if other_predictions:
            problem = f"{_format_node(head)} {relation} {_format_node(tail)} is predicted with several scores or ranks"
            raise InputError(problem, f"Keep one of them. {_HINT}")
        distinct.append(first_prediction)
    if not distinct:
        raise InputError("there are no predictions to write", _HINT)
    return distinct


def _require_entities(graph: Graph, predictions: list[Prediction]) -> None:
    """Raise `InputError` unless all ends of the predictions are in the graph."""
    end_refs = sorted({end_ref for prediction in predictions for end_ref in (prediction.head, prediction.tail)})
    missing_refs: list[NodeRef] = []
    for label, label_refs in groupby(end_refs, key=operator.itemgetter(0)):
        for entity_keys in _parts([entity_key for _, entity_key in label_refs], BATCH_ROWS):
            key_rows = [[entity_key, {}, position] for position, entity_key in enumerate(entity_keys)]
            [answer] = graph.read(queries.get(f"ingest/find_{label.lower()}"), rows=key_rows)
            existing_positions = {position for position, _, _ in answer["nodes"]}
            missing_refs += [
                (label, entity_key)
                for position, entity_key in enumerate(entity_keys)
                if position not in existing_positions
            ]
    if missing_refs:
        examples = ", ".join(map(_format_node, missing_refs[:MAX_UNKNOWN])) + (
            " …" if len(missing_refs) > MAX_UNKNOWN else ""
        )
        problem = f"{len(missing_refs):,} of {len(end_refs):,} predicted entities are not in the graph: {examples}"
        raise InputError(problem, f"Predict with the export of this graph, or load what it lacks. {_HINT}")


def _format_node(node_ref: NodeRef) -> str:
    label, entity_key = node_ref
    return f"{label} {entity_key if entity_key.isprintable() and len(entity_key) <= 80 else '(unprintable key)'}"


def _batches(predictions: list[Prediction], batch_size: int) -> Iterator[GraphBatch]:
    for batch_predictions in _parts(predictions, batch_size):
        nodes: dict[NodeRef, Properties] = {
            end_ref: {} for prediction in batch_predictions for end_ref in (prediction.head, prediction.tail)
        }
        edges: dict[EdgeRef, Properties] = {
            _triplet(prediction): {"score": prediction.score, "rank": prediction.rank}
            for prediction in batch_predictions
        }
        yield GraphBatch(len(batch_predictions), nodes, edges)


def _find_all(transaction: Transaction, prepared: PreparedBatch) -> list[str]:
    """The element ids of the batch's nodes by place; raises `InputError` when one has gone meanwhile."""
    element_ids: dict[int, str] = {}
    for label, node_rows in prepared.nodes.items():
        [answer] = transaction.run(queries.get(f"ingest/find_{label.lower()}"), rows=node_rows).records
        element_ids.update((position, element_id) for position, element_id, _ in answer["nodes"])
    if len(element_ids) < len(prepared.refs):
        hint = "Once it is in the graph again, the same command goes on from here."
        raise InputError("a predicted entity was taken out of the graph meanwhile", hint)
    return [element_ids[position] for position in range(len(element_ids))]
