"""Filtered ranks for head, relation and tail prediction, and what they add up to.

The rank of the true answer among all candidates counts those that score higher and half of those that score the same
(the realistic rank, Berrendorf et al. 2020, eq. 3), so that a constant score ranks in the middle. The filtered rank
leaves out the other answers that are known to be true, in whatever part of the split (Bordes et al. 2013, §4.1); the
raw one keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgp_models.link_prediction.scoring import Scorer
from kgplatform.errors import KgpError
from kgplatform.export.triples import Ids

TASKS: Final = ("head", "relation", "tail")
HITS: Final = (1, 3, 5, 10)
_PLACE: Final = {"head": 0, "relation": 1, "tail": 2}
BATCH: Final = 512

Ranks = NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """Mean rank, mean reciprocal rank and hits at k in percent, of `n` predictions."""

    n: int
    mr: float
    mrr: float
    hits: Mapping[int, float]

    @classmethod
    def of(cls, ranks: Ranks) -> Metrics:
        """The metrics of some ranks; of none, all are nan."""
        if not len(ranks):
            return cls(0, float("nan"), float("nan"), dict.fromkeys(HITS, float("nan")))
        hits = {k: float(100 * (ranks <= k).mean()) for k in HITS}
        return cls(len(ranks), float(ranks.mean()), float((1 / ranks).mean()), hits)

    def as_dict(self) -> dict[str, float]:
        """The metrics by name: n, mr, mrr, hits@1, and so on."""
        return {"n": self.n, "mr": self.mr, "mrr": self.mrr, **{f"hits@{k}": v for k, v in self.hits.items()}}


@dataclass(frozen=True)
class Evaluation:
    """The ranks of each test triple, shape (n,), by task: `filtered` and `raw`."""

    filtered: Mapping[str, Ranks]
    raw: Mapping[str, Ranks]

    def metrics(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Metrics]:
        """Filtered metrics by task, of all triples or of some."""
        return {task: Metrics.of(ranks if rows is None else ranks[rows]) for task, ranks in self.filtered.items()}

    def raw_metrics(self) -> dict[str, Metrics]:
        """Raw metrics by task."""
        return {task: Metrics.of(ranks) for task, ranks in self.raw.items()}


class Known:
    """All true triples of a graph, as the true answers to each question."""

    def __init__(self, triples: Ids, num_entities: int, num_relations: int) -> None:
        sizes = (num_entities, num_relations, num_entities)
        self._answers: dict[str, tuple[Ids, Ids, Ids]] = {}
        self._keys: dict[str, Callable[[Ids], Ids]] = {}
        self._first: dict[str, Ids] = {}
        for task in TASKS:
            first, second = (place for place in range(3) if place != _PLACE[task])
            size = sizes[second]

            def key(ids: Ids, first: int = first, second: int = second, size: int = size) -> Ids:
                return ids[:, first] * size + ids[:, second]

            keys = key(triples)
            order = np.argsort(keys, kind="stable")
            unique, starts = np.unique(keys[order], return_index=True)
            self._answers[task] = (unique, np.append(starts, len(keys)), triples[order, _PLACE[task]])
            self._keys[task] = key
            self._first[task] = triples[order[starts]]

    def questions(self, task: str) -> Ids:
        """Each question that the triples answer, once, as the first triple that answers it, (q, 3)."""
        return self._first[task]

    def answers(self, task: str, triples: Ids) -> tuple[Ids, Ids]:
        """The true answers to the questions that `triples` ask, as pairs (row, candidate), both (m,).

        The triples themselves must be among the known ones.
        """
        unique, starts, candidates = self._answers[task]
        place = np.searchsorted(unique, self._keys[task](triples))
        counts = starts[place + 1] - starts[place]
        rows = np.repeat(np.arange(len(triples)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, candidates[np.repeat(starts[place], counts) + within]


def evaluate(
    scorer: Scorer,
    triples: Ids,
    known: Known,
    *,
    tasks: tuple[str, ...] = TASKS,
    batch: int = BATCH,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Evaluation:
    """Rank the true answers of `triples`, shape (n, 3), among all candidates.

    Raises `KgpError` when a score is not a number: the model has diverged.
    """
    filtered: dict[str, Ranks] = {}
    raw: dict[str, Ranks] = {}
    order = np.argsort(triples[:, 1], kind="stable")  # so that a batch has few relations
    done, total = 0, len(tasks) * len(triples)
    for task in tasks:
        ranks = np.empty((2, len(triples)))
        size = 8 * batch if task == "relation" else batch  # there are fewer candidates
        for start in range(0, len(triples), size):
            rows = order[start : start + size]
            ranks[:, rows] = _ranks(scorer, task, triples[rows], known, device)
            done += len(rows)
            progress(done, total)
        filtered[task], raw[task] = ranks
    return Evaluation(filtered, raw)


@torch.inference_mode()
def _ranks(scorer: Scorer, task: str, triples: Ids, known: Known, device: torch.device | str) -> NDArray[np.float64]:
    """Filtered and raw ranks of a batch, (2, b).

    Known answers are counted apart and subtracted, which is cheaper than to overwrite their scores.
    """
    h, r, t = torch.from_numpy(np.ascontiguousarray(triples.T)).to(device)
    scores = score(scorer, task, h, r, t)
    target = scores.gather(1, (h, r, t)[_PLACE[task]].unsqueeze(1))  # (b, 1)
    if not bool(torch.isfinite(target).all()):
        raise KgpError("the model's scores are not finite: it has diverged", "Lower the learning rate.")
    higher = torch.count_nonzero(scores > target, dim=1)
    equal = torch.count_nonzero(scores == target, dim=1)  # with the answer itself
    rows, candidates = (torch.from_numpy(ids).to(device) for ids in known.answers(task, triples))
    others, own = scores[rows, candidates], target[rows, 0]
    known_higher = torch.zeros_like(higher).index_add_(0, rows, (others > own).to(higher.dtype))
    known_equal = torch.zeros_like(equal).index_add_(0, rows, (others == own).to(equal.dtype))
    raw = 1 + higher + (equal - 1) / 2
    filtered = 1 + (higher - known_higher) + (equal - known_equal) / 2
    return torch.stack([filtered, raw]).double().cpu().numpy()


def score(scorer: Scorer, task: str, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
    """The score of every candidate for the missing part, (b, candidates)."""
    if task == "head":
        return scorer.heads(r, t)
    if task == "relation":
        return scorer.relations(h, t)
    return scorer.tails(h, r)
