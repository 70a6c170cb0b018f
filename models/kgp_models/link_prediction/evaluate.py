"""Filtered ranks for head, relation and tail prediction, and what they add up to.

The rank of the true answer among all candidates counts those that score higher and half of those that score the same
(the realistic rank, Berrendorf et al. 2020, eq. 3), so that a constant score ranks in the middle. The filtered rank
leaves out the other answers that are known to be true, in any part of the split (Bordes et al. 2013, §4.1); the
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
_COLUMN: Final = {"head": 0, "relation": 1, "tail": 2}
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
    def from_ranks(cls, ranks: Ranks) -> Metrics:
        """The metrics of some ranks; of none, all are nan."""
        if not len(ranks):
            return cls(0, float("nan"), float("nan"), dict.fromkeys(HITS, float("nan")))
        hits = {cutoff: float(100 * (ranks <= cutoff).mean()) for cutoff in HITS}
        return cls(len(ranks), float(ranks.mean()), float((1 / ranks).mean()), hits)

    def as_dict(self) -> dict[str, float]:
        """The metrics by name: n, mr, mrr, hits@1, and so on."""
        return {
            "n": self.n,
            "mr": self.mr,
            "mrr": self.mrr,
            **{f"hits@{cutoff}": percent for cutoff, percent in self.hits.items()},
        }


@dataclass(frozen=True)
class Evaluation:
    """The ranks of each test triple, shape (n,), by task: `filtered` and `raw`."""

    filtered: Mapping[str, Ranks]
    raw: Mapping[str, Ranks]

    def metrics(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Metrics]:
        """Filtered metrics by task, of all triples or of some."""
        return {
            task: Metrics.from_ranks(task_ranks if rows is None else task_ranks[rows])
            for task, task_ranks in self.filtered.items()
        }

    def raw_metrics(self) -> dict[str, Metrics]:
        """Raw metrics by task."""
        return {task: Metrics.from_ranks(task_ranks) for task, task_ranks in self.raw.items()}


class TrueTriples:
    """All true triples of a graph, as the true answers to each question."""

    def __init__(self, triples: Ids, num_entities: int, num_relations: int) -> None:
        column_sizes = (num_entities, num_relations, num_entities)
        self._answers: dict[str, tuple[Ids, Ids, Ids]] = {}
        self._keys: dict[str, Callable[[Ids], Ids]] = {}
        self._first: dict[str, Ids] = {}
        for task in TASKS:
            first_column, second_column = (column for column in range(3) if column != _COLUMN[task])
            stride = column_sizes[second_column]

            def key(
                triple_rows: Ids,
                first_column: int = first_column,
                second_column: int = second_column,
                stride: int = stride,
            ) -> Ids:
                return triple_rows[:, first_column] * stride + triple_rows[:, second_column]

            question_keys = key(triples)
            key_order = np.argsort(question_keys, kind="stable")
            unique_keys, key_starts = np.unique(question_keys[key_order], return_index=True)
            self._answers[task] = (
                unique_keys,
                np.append(key_starts, len(question_keys)),
                triples[key_order, _COLUMN[task]],
            )
            self._keys[task] = key
            self._first[task] = triples[key_order[key_starts]]

    def questions(self, task: str) -> Ids:
        """Each question that the triples answer, once, as the first triple that answers it, (q, 3)."""
        return self._first[task]

    def answers(self, task: str, triples: Ids) -> tuple[Ids, Ids]:
        """The true answers to the questions that `triples` ask, as pairs (row, candidate), both (m,).

        The triples themselves must be among the known ones.
        """
        unique_keys, answer_starts, candidates = self._answers[task]
        key_index = np.searchsorted(unique_keys, self._keys[task](triples))
        answer_counts = answer_starts[key_index + 1] - answer_starts[key_index]
        row_indices = np.repeat(np.arange(len(triples)), answer_counts)
        offsets = np.arange(len(row_indices)) - np.repeat(np.cumsum(answer_counts) - answer_counts, answer_counts)
        return row_indices, candidates[np.repeat(answer_starts[key_index], answer_counts) + offsets]


def evaluate(
    scorer: Scorer,
    triples: Ids,
    true_triples: TrueTriples,
    *,
    tasks: tuple[str, ...] = TASKS,
    batch: int = BATCH,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int | None], None] = lambda ranked_count, question_total: None,
) -> Evaluation:
    """Rank the true answers of `triples`, shape (n, 3), among all candidates.

    Raises `KgpError` when a score is not a number: the model has diverged.
    """
    filtered_ranks: dict[str, Ranks] = {}
    raw_ranks: dict[str, Ranks] = {}
    row_order = np.argsort(triples[:, 1], kind="stable")  # so that a batch has few relations
    ranked_count, question_total = 0, len(tasks) * len(triples)
    for task in tasks:
        task_ranks = np.empty((2, len(triples)))
        batch_size = 8 * batch if task == "relation" else batch  # there are fewer candidates
        for batch_start in range(0, len(triples), batch_size):
            batch_rows = row_order[batch_start : batch_start + batch_size]
            task_ranks[:, batch_rows] = _ranks(scorer, task, triples[batch_rows], true_triples, device)
            ranked_count += len(batch_rows)
            progress(ranked_count, question_total)
        filtered_ranks[task], raw_ranks[task] = task_ranks
    return Evaluation(filtered_ranks, raw_ranks)


@torch.inference_mode()
def _ranks(
    scorer: Scorer, task: str, triples: Ids, truth: TrueTriples, device: torch.device | str
) -> NDArray[np.float64]:
    """Filtered and raw ranks of a batch, (2, b).

    Known answers are counted apart and subtracted, which is cheaper than to overwrite their scores.
    """
    h, r, t = torch.from_numpy(np.ascontiguousarray(triples.T)).to(device)
    scores = score_candidates(scorer, task, h, r, t)
    true_scores = scores.gather(1, (h, r, t)[_COLUMN[task]].unsqueeze(1))  # (b, 1)
    if not bool(torch.isfinite(true_scores).all()):
        raise KgpError("the model's scores are not finite: it has diverged", "Lower the learning rate.")
    higher_count = torch.count_nonzero(scores > true_scores, dim=1)
    equal_count = torch.count_nonzero(scores == true_scores, dim=1)  # with the answer itself
    row_indices, candidates = (torch.from_numpy(answer_ids).to(device) for answer_ids in truth.answers(task, triples))
    other_scores, own_scores = scores[row_indices, candidates], true_scores[row_indices, 0]
    excluded_higher = torch.zeros_like(higher_count).index_add_(
        0, row_indices, (other_scores > own_scores).to(higher_count.dtype)
    )
    excluded_equal = torch.zeros_like(equal_count).index_add_(
        0, row_indices, (other_scores == own_scores).to(equal_count.dtype)
    )
    raw_ranks = 1 + higher_count + (equal_count - 1) / 2
    filtered_ranks = 1 + (higher_count - excluded_higher) + (equal_count - excluded_equal) / 2
    return torch.stack([filtered_ranks, raw_ranks]).double().cpu().numpy()


def score_candidates(scorer: Scorer, task: str, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
    """The score of every candidate for the missing part, (b, candidates)."""
    if task == "head":
        return scorer.heads(r, t)
    if task == "relation":
        return scorer.relations(h, t)
    return scorer.tails(h, r)
