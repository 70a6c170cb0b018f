"""Losses: what true triples are compared with, and how. Each cuts an epoch into batches, and gives a batch's loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.link_prediction.evaluate import TrueTriples, score_candidates
from kgp_models.link_prediction.scoring import Factored
from kgp_models.link_prediction.settings import SAMPLED, TrainingSettings
from kgplatform.errors import UsageError
from kgplatform.export.triples import Ids

_COLUMN: Final = {"head": 0, "relation": 1, "tail": 2}


class Objective(Protocol):
    """An epoch's batches, and the loss of one."""

    steps: int
    """The batches of an epoch."""

    def batches(self) -> Iterator[Any]:
        """The training triples in random order, cut into batches."""
        ...

    def loss(self, scorer: Factored, batch: Any) -> Tensor:
        """The mean loss of a batch, a scalar."""
        ...


def objective(
    settings: TrainingSettings, train: Ids, num_entities: int, num_relations: int, device: torch.device | str = "cpu"
) -> Objective:
    """The objective that the settings ask for."""
    objective_class = Sampled if settings.objective in SAMPLED else AllCandidates
    return objective_class(settings, train, num_entities, num_relations, device)


class Sampled:
    """True triples against sampled ones: of each, one part is replaced by a random entity or relation."""

    def __init__(
        self, settings: TrainingSettings, train: Ids, num_entities: int, num_relations: int, device: torch.device | str
    ) -> None:
        self.settings = settings
        self.triples = torch.from_numpy(np.ascontiguousarray(train)).to(device)
        self.steps = math.ceil(len(train) / settings.batch_size)
        self.sizes = (num_entities, num_relations, num_entities)
        # a graph's only relation cannot be replaced by another
        self.corrupted_columns = [
            column for slot_name in settings.corrupt if self.sizes[column := _COLUMN[slot_name]] > 1
        ]
        if not self.corrupted_columns:
            raise UsageError(
                "the graph has one relation, and no other part is replaced", "Add head or tail to corrupt."
            )

    def batches(self) -> Iterator[Tensor]:
        """Triples, (b, 3)."""
        for batch_rows in torch.split(torch.randperm(len(self.triples)), self.settings.batch_size):
            yield self.triples[batch_rows.to(self.triples.device)]

    def loss(self, scorer: Factored, batch: Tensor) -> Tensor:
        """The mean loss of a batch."""
        settings, negative_count = self.settings, self.settings.negatives
        all_scores = scorer.triples(*torch.cat([batch, self.corrupted(batch, negative_count)]).unbind(1))
        positive_scores, negative_scores = (
            all_scores[: len(batch)].unsqueeze(1),
            all_scores[len(batch) :].view(len(batch), negative_count),
        )
        if settings.objective == "margin":
            return functional.relu(settings.margin + negative_scores - positive_scores).mean()
        if settings.objective == "softplus":
            return (functional.softplus(-positive_scores).mean() + functional.softplus(negative_scores).mean()) / 2
        negative_weights = torch.softmax(settings.temperature * negative_scores.detach(), dim=1)
        negative_loss = (
            -(negative_weights * functional.logsigmoid(-settings.margin - negative_scores)).sum(dim=1).mean()
        )
        return (negative_loss - functional.logsigmoid(settings.margin + positive_scores).mean()) / 2

    def corrupted(self, batch: Tensor, count: int) -> Tensor:
        """`count` corrupted copies of each triple, (b·count, 3); a replacement is never what stood there."""
        copies = batch.repeat_interleave(count, dim=0)
        for turn, column in enumerate(self.corrupted_columns):
            turn_rows = slice(turn, None, len(self.corrupted_columns))
            replaced_ids = copies[turn_rows, column]
            random_shift = torch.randint(1, self.sizes[column], replaced_ids.shape, device=batch.device)
            copies[turn_rows, column] = (replaced_ids + random_shift) % self.sizes[column]
        return copies


class AllCandidates:
    """Each question, (h, r, ?) say, is asked once with all its known answers, and every candidate is scored.

    ``cross-entropy`` is the sum over the answers of −log softmax (Lacroix et al. 2018, eq. 8), ``binary-cross-entropy``
    takes each candidate alone (Dettmers et al. 2018, §4.1). A batch has its share of the questions for each part,
    so an epoch has as many steps as there are batches of triples.
    """

    def __init__(
        self, settings: TrainingSettings, train: Ids, num_entities: int, num_relations: int, device: torch.device | str
    ) -> None:
        self.settings, self.device = settings, device
        self.true_triples = TrueTriples(train, num_entities, num_relations)
        self.questions = {slot_name: self.true_triples.questions(slot_name) for slot_name in settings.corrupt}
        self.steps = math.ceil(len(train) / settings.batch_size)

    def batches(self) -> Iterator[dict[str, Ids]]:
        """Questions by what they ask for, each as one triple that answers it, (q, 3)."""
        question_orders = {slot_name: torch.randperm(len(questions)) for slot_name, questions in self.questions.items()}
        order_shares = {
            slot_name: question_order.tensor_split(self.steps) for slot_name, question_order in question_orders.items()
        }
        for step in range(self.steps):
            yield {
                slot_name: self.questions[slot_name][order_shares[slot_name][step].numpy()]
                for slot_name in order_shares
            }

    def loss(self, scorer: Factored, batch: Mapping[str, Ids]) -> Tensor:
        """The mean loss of a batch: over triples for cross-entropy, over candidates for binary cross-entropy."""
        total_loss = torch.zeros((), device=self.device)
        for slot_name, questions in batch.items():
            h, r, t = torch.from_numpy(np.ascontiguousarray(questions.T)).to(self.device)
            logits = score_candidates(scorer, slot_name, h, r, t)
            row_indices, answers = (
                torch.from_numpy(answer_ids).to(self.device)
                for answer_ids in self.true_triples.answers(slot_name, questions)
            )
            if self.settings.objective == "cross-entropy":
                slot_loss = _cross_entropy(logits, row_indices, answers) / len(row_indices)
            else:
                slot_loss = self._binary(logits, row_indices, answers)
            total_loss = total_loss + (self.settings.relation_weight if slot_name == "relation" else 1.0) * slot_loss
            if self.settings.n3 and slot_name != "relation":
                triple_ids = [h[row_indices], r[row_indices], t[row_indices]]
                triple_ids[_COLUMN[slot_name]] = answers
                total_loss = total_loss + self.settings.n3 * scorer.nuclear_3_norm(*triple_ids) / len(row_indices)
        return total_loss

    def _binary(self, logits: Tensor, row_indices: Tensor, answers: Tensor) -> Tensor:
        smoothing = self.settings.label_smoothing
        labels = torch.full_like(logits, smoothing / logits.shape[1])
        labels[row_indices, answers] += 1 - smoothing
        return functional.binary_cross_entropy_with_logits(logits, labels)


class _CrossEntropy(torch.autograd.Function):
    """Σ over answers of logsumexp(row) − logit, with a gradient made in one pass over the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, rows: Tensor, answers: Tensor) -> Tensor:
        normaliser = torch.logsumexp(logits, dim=1)  # (q,)
        ctx.save_for_backward(logits, normaliser, rows, answers)
        return (normaliser[rows] - logits[rows, answers]).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, normaliser, rows, answers = ctx.saved_tensors
        answer_counts = torch.bincount(rows, minlength=len(logits)).to(logits.dtype)
        softmax = (logits - normaliser.unsqueeze(1)).exp_().mul_((answer_counts * gradient).unsqueeze(1))
        softmax.index_put_((rows, answers), -gradient.expand(len(rows)), accumulate=True)
        return softmax, None, None


def _cross_entropy(logits: Tensor, row_indices: Tensor, answers: Tensor) -> Tensor:
    loss_sum: Tensor = _CrossEntropy.apply(logits, row_indices, answers)
    return loss_sum
