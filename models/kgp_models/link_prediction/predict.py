"""New links: the best-scored triples of a relation that the graph does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kgp_models.link_prediction.checkpoint import LinkCheckpoint
from kgp_models.link_prediction.pool_checkpoint import PoolCheckpoint
from kgplatform.errors import InputError, NotFoundError, UsageError
from kgplatform.export.triples import Ids, Triples
from kgplatform.predictions import Prediction
from kgplatform.progress import Progress, no_progress
from kgplatform.suggest import did_you_mean, nearest, suggestion_text

BATCH: Final = 512
MAX_TOP: Final = 1_000_000  # a longer list of candidates is not useful, and does not fit a table

Scores: TypeAlias = npt.NDArray[np.float64]


@torch.inference_mode()
def predict_triples(
    checkpoint: LinkCheckpoint | PoolCheckpoint,
    graph: Triples,
    relation: str,
    top: int,
    *,
    head: str | None = None,
    tail: str | None = None,
    progress: Progress = no_progress,
) -> list[Prediction]:
    """The `top` best-scored triples (h, relation, t), best first, that `graph` does not have.

    Heads and tails are of the node types that the relation joins in `graph`; with `head` or `tail` (a label) only that
    entity is asked about. The score is the log-probability of the tail among all tails of those types (and of the head
    among the heads, if `tail` is given), so that scores of different heads can be compared.

    Raises `NotFoundError` for an unknown relation or entity, `InputError` when the model is of another graph.
    """
    if not 1 <= top <= MAX_TOP:
        raise UsageError(f"--top must be 1 to {MAX_TOP:,}", "Ask for the best ones, or for one --head or --tail.")
    if head is not None and tail is not None:
        raise UsageError("with --head and --tail there is nothing left to predict", "Give one of them.")
    link_search = _Search(checkpoint, graph, relation)
    score_batches = link_search.heads(tail) if tail is not None else link_search.tails(head)
    best = _Best(top)
    for done_count, total_count, scores, head_ids, tail_ids in score_batches:
        best.add(scores.numpy(), head_ids.numpy(), tail_ids.numpy())
        progress(done_count, total_count)
    model_nodes = checkpoint.graph.nodes
    predictions = []
    for rank, (score, head_id, tail_id) in enumerate(best.ordered(), 1):
        head_node, tail_node = model_nodes[head_id], model_nodes[tail_id]
        predictions.append(
            Prediction((head_node.kind, head_node.key), relation, (tail_node.kind, tail_node.key), score, rank)
        )
    return predictions


class _Best:
    """The best-scored pairs so far: at most `top`, of equal scores those with the lower ids."""

    def __init__(self, top: int) -> None:
        self.top = top
        self._scores = np.empty(0)
        self._pairs = np.empty((0, 2), dtype=np.int64)

    def add(self, scores: Scores, head_ids: Ids, tail_ids: Ids) -> None:
        """Take in more pairs, and leave out what is not among the best any more."""
        if len(self._scores) == self.top:
            can_enter = scores >= self._scores.min()
            scores, head_ids, tail_ids = scores[can_enter], head_ids[can_enter], tail_ids[can_enter]
        self._scores = np.concatenate([self._scores, scores])
        self._pairs = np.concatenate([self._pairs, np.stack([head_ids, tail_ids], axis=1)])
        if len(self._scores) > self.top:
            lowest = np.partition(self._scores, len(self._scores) - self.top)[-self.top]
            can_stay = np.flatnonzero(self._scores >= lowest)  # with all that are equal to the last
            self._select(can_stay[self._order(can_stay)][: self.top])

    def ordered(self) -> Iterator[tuple[float, int, int]]:
        """Score, head and tail, the best first."""
        self._select(self._order(np.arange(len(self._scores))))
        for score, (head_id, tail_id) in zip(self._scores.tolist(), self._pairs.tolist(), strict=True):
            yield score, head_id, tail_id

    def _order(self, positions: Ids) -> Ids:
        return np.lexsort((self._pairs[positions, 1], self._pairs[positions, 0], -self._scores[positions]))

    def _select(self, positions: Ids) -> None:
        self._scores, self._pairs = self._scores[positions], self._pairs[positions]


class _Search:
    """What is known about the relation, in the model's own ids."""

    def __init__(self, checkpoint: LinkCheckpoint | PoolCheckpoint, graph: Triples, relation: str) -> None:
        model_graph = checkpoint.graph
        if relation not in model_graph.relations:
            hint = did_you_mean(relation, model_graph.relations, "It was trained without it.")
            raise NotFoundError(f"the model knows no relation {relation}", hint)
        if relation not in graph.relations:
            hint = did_you_mean(relation, graph.relations, "So the kinds of nodes that it joins are not known.")
            raise NotFoundError(f"the graph has no relation {relation}", hint)
        self.scorer = checkpoint.scorer
        self.relation = list(model_graph.relations).index(relation)
        node_positions = {(node.kind, node.key): position for position, node in enumerate(model_graph.nodes)}
        model_ids = np.array([node_positions.get((node.kind, node.key), -1) for node in graph.nodes], dtype=np.int64)
        if not (model_ids >= 0).any():
            raise InputError(
                "the model is of another graph: it knows none of these entities", "Train one on this graph."
            )
        relation_edges = graph.ids[graph.ids[:, 1] == list(graph.relations).index(relation)]
        edge_ends = model_ids[relation_edges[:, [0, 2]]]
        self.existing_pairs = edge_ends[(edge_ends >= 0).all(axis=1)]
        node_kinds = model_graph.kinds
        is_present = np.zeros(len(node_kinds), dtype=bool)
        is_present[model_ids[model_ids >= 0]] = True
        head_kinds, tail_kinds = (set(graph.kinds[relation_edges[:, column]].tolist()) for column in (0, 2))
        self.candidates = tuple(
            np.flatnonzero(is_present & np.isin(node_kinds, sorted(end_kinds)))
            for end_kinds in (head_kinds, tail_kinds)
        )
        self.relation_name, self.node_kinds, self.end_kinds = relation, node_kinds, (head_kinds, tail_kinds)
        self.labels = {label: position for position, label in enumerate(model_graph.labels)}
        self.names = [node.name for node in model_graph.nodes]

    def tails(self, head: str | None) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
        """Scores, heads and tails of each batch of heads."""
        all_heads = self.candidates[0] if head is None else self._entity_id(head, 0)
        for done_count, batch_ids in _batches(all_heads):
            relation_ids = torch.full((len(batch_ids),), self.relation)
            scores = self.scorer.tails(torch.from_numpy(batch_ids), relation_ids)
            head_ids, tail_ids, log_probs = self._new(scores, batch_ids, self.candidates[1], self.existing_pairs)
            yield done_count, len(all_heads), log_probs, head_ids, tail_ids

    def heads(self, tail: str) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
        """Scores, heads and tails, of the one tail."""
        tail_array = self._entity_id(tail, 1)
        scores = self.scorer.heads(torch.tensor([self.relation]), torch.from_numpy(tail_array))
        tail_ids, head_ids, log_probs = self._new(scores, tail_array, self.candidates[0], self.existing_pairs[:, ::-1])
        yield 1, 1, log_probs, head_ids, tail_ids

    def _new(
        self, scores: Tensor, query_ids: Ids, candidate_ids: Ids, graph_pairs: Ids
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The asked, candidates and log-probabilities of pairs that are not known, nor of an entity with itself."""
        log_probs = torch.log_softmax(scores[:, torch.from_numpy(candidate_ids)].double(), dim=1)
        candidate_column = np.full(len(self.labels), -1)
        candidate_column[candidate_ids] = np.arange(len(candidate_ids))
        row_by_id = {int(query_id): query_row for query_row, query_id in enumerate(query_ids)}
        excluded_cells = [
            (row_by_id[first_id], candidate_column[second_id])
            for first_id, second_id in graph_pairs.tolist()
            if first_id in row_by_id and candidate_column[second_id] >= 0
        ]
        excluded_cells += [
            (query_row, candidate_column[query_id])
            for query_row, query_id in enumerate(query_ids.tolist())
            if candidate_column[query_id] >= 0
        ]
        if excluded_cells:
            log_probs[tuple(torch.tensor(excluded_cells).T)] = -torch.inf
        result_rows, result_columns = torch.nonzero(torch.isfinite(log_probs), as_tuple=True)
        return (
            torch.from_numpy(query_ids)[result_rows],
            torch.from_numpy(candidate_ids)[result_columns],
            log_probs[result_rows, result_columns],
        )

    def _entity_id(self, label: str, column: int) -> Ids:
        """The entity's id. Raises `InputError` where the graph's relation has no such end (0: head, 1: tail)."""
        if label not in self.labels:
            raise NotFoundError(f"the model knows no entity {label}", self._hint(label))
        kind = self.node_kinds[self.labels[label]]
        if kind not in self.end_kinds[column]:
            end_name = ("head", "tail")[column]
            kinds_text = " or ".join(sorted(map(str, self.end_kinds[column])))
            message = f"{label} cannot be the {end_name} of {self.relation_name}: its kind is {kind}"
            raise InputError(message, f"Its {end_name}s are of the kind {kinds_text}.")
        return np.array([self.labels[label]])

    def _hint(self, label: str) -> str:
        """The labels close to one that is not known, or those of entities with a name close to it."""
        fallback_hint = "It was trained without it."
        label_by_name = {
            self.names[entity_index]: entity_label
            for entity_label, entity_index in self.labels.items()
            if self.names[entity_index]
        }
        if close_names := nearest(label, label_by_name):
            labels = [f"{label_by_name[similar]} ({similar})" for similar in close_names]
            return f"{suggestion_text(labels)} {fallback_hint}"
        return did_you_mean(label, self.labels, fallback_hint)


def _batches(entity_ids: Ids) -> Iterator[tuple[int, Ids]]:
    for batch_start in range(0, len(entity_ids), BATCH):
        batch_ids = entity_ids[batch_start : batch_start + BATCH]
        yield batch_start + len(batch_ids), batch_ids
