"""Losses: what true triples are compared with, and how. Each cuts an epoch into batches, and gives a batch's loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.link_prediction.evaluate import Known, score
from kgp_models.link_prediction.scoring import Factored
from kgp_models.link_prediction.settings import SAMPLED, TrainingSettings
from kgplatform.errors import UsageError
from kgplatform.export.triples import Ids

_PLACE: Final = {"head": 0, "relation": 1, "tail": 2}


class Objective(Protocol):
    """An epoch's batches, and the loss of one."""

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
    kind = Sampled if settings.objective in SAMPLED else AllCandidates
    return kind(settings, train, num_entities, num_relations, device)


class Sampled:
    """True triples against sampled ones: of each, one part is replaced by a random entity or relation."""

    def __init__(
        self, settings: TrainingSettings, train: Ids, num_entities: int, num_relations: int, device: torch.device | str
    ) -> None:
        self.settings = settings
        self.triples = torch.from_numpy(np.ascontiguousarray(train)).to(device)
        self.sizes = (num_entities, num_relations, num_entities)
        # a graph's only relation cannot be replaced by another
        self.places = [place for slot in settings.corrupt if self.sizes[place := _PLACE[slot]] > 1]
        if not self.places:
            raise UsageError(
                "the graph has one relation, and no other part is replaced", "Add head or tail to corrupt."
            )

    def batches(self) -> Iterator[Tensor]:
        """Triples, (b, 3)."""
        for rows in torch.split(torch.randperm(len(self.triples)), self.settings.batch_size):
            yield self.triples[rows.to(self.triples.device)]

    def loss(self, scorer: Factored, batch: Tensor) -> Tensor:
        """The mean loss of a batch."""
        settings, count = self.settings, self.settings.negatives
        scores = scorer.triples(*torch.cat([batch, self.corrupted(batch, count)]).unbind(1))
        true, false = scores[: len(batch)].unsqueeze(1), scores[len(batch) :].view(len(batch), count)
        if settings.objective == "margin":
            return functional.relu(settings.margin + false - true).mean()
        if settings.objective == "softplus":
            return (functional.softplus(-true).mean() + functional.softplus(false).mean()) / 2
        weights = torch.softmax(settings.temperature * false.detach(), dim=1)
        against = -(weights * functional.logsigmoid(-settings.margin - false)).sum(dim=1).mean()
        return (against - functional.logsigmoid(settings.margin + true).mean()) / 2

    def corrupted(self, batch: Tensor, count: int) -> Tensor:
        """`count` corrupted copies of each triple, (b·count, 3); a replacement is never what stood there."""
        copies = batch.repeat_interleave(count, dim=0)
        for turn, place in enumerate(self.places):
            rows = slice(turn, None, len(self.places))
            part = copies[rows, place]
            shift = torch.randint(1, self.sizes[place], part.shape, device=batch.device)
            copies[rows, place] = (part + shift) % self.sizes[place]
        return copies


class AllCandidates:
    """Each question, (h, r, ?) say, is asked once with all its known answers, and every candidate is scored.

    ``cross-entropy`` is the sum over the answers of −log softmax (Lacroix et al. 2018, eq. 8), ``binary-cross-entropy``
    takes each candidate by itself (Dettmers et al. 2018, §4.1). A batch has its share of the questions for each part,
    so an epoch has as many steps as there are batches of triples.
    """

    def __init__(
        self, settings: TrainingSettings, train: Ids, num_entities: int, num_relations: int, device: torch.device | str
    ) -> None:
        self.settings, self.device = settings, device
        self.known = Known(train, num_entities, num_relations)
        self.questions = {slot: self.known.questions(slot) for slot in settings.corrupt}
        self.steps = math.ceil(len(train) / settings.batch_size)

    def batches(self) -> Iterator[dict[str, Ids]]:
        """Questions by what they ask for, each as one triple that answers it, (q, 3)."""
        orders = {slot: torch.randperm(len(questions)) for slot, questions in self.questions.items()}
        shares = {slot: order.tensor_split(self.steps) for slot, order in orders.items()}
        for number in range(self.steps):
            yield {slot: self.questions[slot][shares[slot][number].numpy()] for slot in shares}

    def loss(self, scorer: Factored, batch: Mapping[str, Ids]) -> Tensor:
        """The mean loss of a batch: over triples for cross-entropy, over candidates for binary cross-entropy."""
        total = torch.zeros((), device=self.device)
        for slot, questions in batch.items():
            h, r, t = torch.from_numpy(np.ascontiguousarray(questions.T)).to(self.device)
            logits = score(scorer, slot, h, r, t)
            rows, answers = (torch.from_numpy(ids).to(self.device) for ids in self.known.answers(slot, questions))
            if self.settings.objective == "cross-entropy":
                loss = _cross_entropy(logits, rows, answers) / len(rows)
            else:
                loss = self._binary(logits, rows, answers)
            total = total + (self.settings.relation_weight if slot == "relation" else 1.0) * loss
            if self.settings.n3 and slot != "relation":
                parts = [h[rows], r[rows], t[rows]]
                parts[_PLACE[slot]] = answers
                total = total + self.settings.n3 * scorer.nuclear_3_norm(*parts) / len(rows)
        return total

    def _binary(self, logits: Tensor, rows: Tensor, answers: Tensor) -> Tensor:
        smoothing = self.settings.label_smoothing
        labels = torch.full_like(logits, smoothing / logits.shape[1])
        labels[rows, answers] += 1 - smoothing
        return functional.binary_cross_entropy_with_logits(logits, labels)


class _CrossEntropy(torch.autograd.Function):
    """Σ over answers of logsumexp(row) − logit, with a gradient made in one pass over the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, rows: Tensor, answers: Tensor) -> Tensor:
        normal = torch.logsumexp(logits, dim=1)  # (q,)
        ctx.save_for_backward(logits, normal, rows, answers)
        return (normal[rows] - logits[rows, answers]).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, normal, rows, answers = ctx.saved_tensors
        counts = torch.bincount(rows, minlength=len(logits)).to(logits.dtype)
        softmax = (logits - normal.unsqueeze(1)).exp_().mul_((counts * gradient).unsqueeze(1))
        softmax.index_put_((rows, answers), -gradient.expand(len(rows)), accumulate=True)
        return softmax, None, None


def _cross_entropy(logits: Tensor, rows: Tensor, answers: Tensor) -> Tensor:
    value: Tensor = _CrossEntropy.apply(logits, rows, answers)
    return value
