"""New links: the best-scored triples of a relation that the graph does not have."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from kgp_models.link_prediction.checkpoint import Checkpoint
from kgp_models.link_prediction.pool_checkpoint import PoolCheckpoint
from kgplatform.errors import InputError, NotFoundError, UsageError
from kgplatform.export.triples import Ids, Triples
from kgplatform.predictions import Prediction
from kgplatform.suggest import did_you_mean, nearest, question

BATCH = 512

Progress = Callable[[int, int | None], None]


@torch.inference_mode()
def predict_links(
    checkpoint: Checkpoint | PoolCheckpoint,
    graph: Triples,
    relation: str,
    top: int,
    *,
    head: str | None = None,
    tail: str | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Prediction]:
    """The `top` best-scored triples (h, relation, t), best first, that `graph` does not have.

    Heads and tails are of the node types that the relation joins in `graph`; with `head` or `tail` (a label) only that
    entity is asked about. The score is the log-probability of the tail among all tails of those types (and of the head
    among the heads, if `tail` is given), so that scores of different heads can be compared.

    Raises `NotFoundError` for an unknown relation or entity, `InputError` when the model is of another graph.
    """
    if top < 1:
        raise UsageError("--top must be at least 1", "Ask for a number of predictions.")
    if head is not None and tail is not None:
        raise UsageError("with --head and --tail there is nothing left to predict", "Give one of them.")
    search = _Search(checkpoint, graph, relation)
    answered = search.heads(tail) if tail is not None else search.tails(head)
    best: list[tuple[float, int, int]] = []
    for done, total, scores, rows, columns in answered:
        for score, row, column in zip(scores.tolist(), rows.tolist(), columns.tolist(), strict=True):
            entry = (score, -row, -column)  # equal scores: the lower ids first
            if len(best) < top:
                heapq.heappush(best, entry)
            elif entry > best[0]:
                heapq.heapreplace(best, entry)
        progress(done, total)
    nodes = checkpoint.graph.nodes
    found = []
    for rank, (score, row, column) in enumerate(sorted(best, reverse=True), 1):
        h, t = nodes[-row], nodes[-column]
        found.append(Prediction((h.kind, h.key), relation, (t.kind, t.key), score, rank))
    return found


class _Search:
    """What is known about the relation, in the model's own ids."""

    def __init__(self, checkpoint: Checkpoint | PoolCheckpoint, graph: Triples, relation: str) -> None:
        names = checkpoint.graph
        if relation not in names.relations:
            hint = did_you_mean(relation, names.relations, "It was trained without it.")
            raise NotFoundError(f"the model knows no relation {relation}", hint)
        if relation not in graph.relations:
            hint = did_you_mean(relation, graph.relations, "So it says nothing of what it joins.")
            raise NotFoundError(f"the graph has no relation {relation}", hint)
        self.scorer = checkpoint.scorer
        self.relation = list(names.relations).index(relation)
        place = {(node.kind, node.key): i for i, node in enumerate(names.nodes)}
        here = np.array([place.get((node.kind, node.key), -1) for node in graph.nodes], dtype=np.int64)
        if not (here >= 0).any():
            raise InputError(
                "the model is of another graph: it knows none of these entities", "Train one on this graph."
            )
        edges = graph.ids[graph.ids[:, 1] == list(graph.relations).index(relation)]
        known = here[edges[:, [0, 2]]]
        self.known = known[(known >= 0).all(axis=1)]
        kinds = names.kinds
        present = np.zeros(len(kinds), dtype=bool)
        present[here[here >= 0]] = True
        of_heads, of_tails = (set(graph.kinds[edges[:, side]].tolist()) for side in (0, 2))
        self.candidates = tuple(np.flatnonzero(present & np.isin(kinds, sorted(of))) for of in (of_heads, of_tails))
        self.labels = {label: i for i, label in enumerate(names.labels)}
        self.names = [node.name for node in names.nodes]

    def tails(self, head: str | None) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
        """Scores, heads and tails of each batch of heads."""
        heads = self.candidates[0] if head is None else self._one(head)
        for done, ids in _batches(heads):
            relations = torch.full((len(ids),), self.relation)
            scores = self.scorer.tails(torch.from_numpy(ids), relations)
            rows, columns, values = self._new(scores, ids, self.candidates[1], self.known)
            yield done, len(heads), values, rows, columns

    def heads(self, tail: str) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
        """Scores, heads and tails, of the one tail."""
        ids = self._one(tail)
        scores = self.scorer.heads(torch.tensor([self.relation]), torch.from_numpy(ids))
        rows, columns, values = self._new(scores, ids, self.candidates[0], self.known[:, ::-1])
        yield 1, 1, values, columns, rows

    def _new(self, scores: Tensor, asked: Ids, candidates: Ids, known: Ids) -> tuple[Tensor, Tensor, Tensor]:
        """The asked, candidates and log-probabilities of pairs that are not known, nor of an entity with itself."""
        among = torch.log_softmax(scores[:, torch.from_numpy(candidates)].double(), dim=1)
        place = np.full(len(self.labels), -1)
        place[candidates] = np.arange(len(candidates))
        row_of = {int(one): row for row, one in enumerate(asked)}
        hidden = [(row_of[a], place[b]) for a, b in known.tolist() if a in row_of and place[b] >= 0]
        hidden += [(row, place[one]) for row, one in enumerate(asked.tolist()) if place[one] >= 0]
        if hidden:
            among[tuple(torch.tensor(hidden).T)] = -torch.inf
        rows, columns = torch.nonzero(torch.isfinite(among), as_tuple=True)
        return torch.from_numpy(asked)[rows], torch.from_numpy(candidates)[columns], among[rows, columns]

    def _one(self, label: str) -> Ids:
        if label not in self.labels:
            raise NotFoundError(f"the model knows no entity {label}", self._hint(label))
        return np.array([self.labels[label]])

    def _hint(self, label: str) -> str:
        """The labels close to one that is not known, or those of entities with a name close to it."""
        otherwise = "It was trained without it."
        by_name = {self.names[place]: one for one, place in self.labels.items() if self.names[place]}
        if named := nearest(label, by_name):
            return f"{question([f'{by_name[name]} ({name})' for name in named])} {otherwise}"
        return did_you_mean(label, self.labels, otherwise)


def _batches(ids: Ids) -> Iterator[tuple[int, Ids]]:
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        yield start + len(part), part
