"""A log-linear pool: several scorers as one, with weights that maximise the likelihood of the validation triples.

On this graph no single model is good at everything: embeddings know the structure of the ontology, counts and similar
neighbours know which concepts images show. A pool of them needs a handful of weights, one a member, a task and a pair
of node types (Genest and Zidek 1986, on pooling of probabilities: p ∝ Π pᵢ^wᵢ).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.link_prediction.baselines import BASELINES
from kgp_models.link_prediction.evaluate import TASKS, TrueTriples, score_candidates
from kgp_models.link_prediction.scoring import Scorer
from kgplatform.datasets.splits import Split
from kgplatform.errors import UsageError

QUESTIONS: Final = 5_000  # validation questions a task that the weights are fitted to, at most
STEPS: Final = 60
FLOOR: Final = 1e-6  # what a count of 0 is taken for
BATCH: Final = 256


class Pool:
    """The weighted sum of trained models' scores and of the logarithms of the baselines'."""

    def __init__(self, split: Split, models: Mapping[str, Scorer], counts: Sequence[str] = tuple(BASELINES)) -> None:
        triples, train = split.triples, split.train
        self.num_entities, self.num_relations = triples.num_entities, triples.num_relations
        self.models = dict(models)
        self.counts = {baseline_name: BASELINES[baseline_name](split) for baseline_name in counts}
        node_kinds = np.unique(triples.kinds, return_inverse=True)[1].reshape(-1)
        self._kinds, self._kind_count = torch.from_numpy(node_kinds), int(node_kinds.max()) + 1
        self._relation_pairs = torch.zeros(self.num_relations, dtype=torch.int64)
        kind_pairs = self._pairs(*(torch.from_numpy(train[:, column].copy()) for column in (0, 2)))
        for relation in np.unique(train[:, 1]).tolist():
            self._relation_pairs[relation] = kind_pairs[torch.from_numpy(train[:, 1] == relation)].mode().values
        self.weights = {task: torch.ones(self._kind_count**2, len(self.names)) for task in TASKS}

    @property
    def names(self) -> list[str]:
        """The members, in the order of the weights."""
        return [*self.models, *self.counts]

    def fit(self, split: Split, seed: int = 0) -> Pool:
        """Set the weights by the validation triples: for each task, minimise −log softmax of the true answer."""
        if not len(split.valid):
            raise UsageError("a pool needs validation triples", "Use a split with a validation part.")
        true_triples = TrueTriples(split.triples.ids, self.num_entities, self.num_relations)
        random_generator = np.random.default_rng(seed)
        chosen_triples = split.valid[random_generator.permutation(len(split.valid))[:QUESTIONS]]
        for task in TASKS:
            self.weights[task] = self._fitted(task, chosen_triples, true_triples)
        return self

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,), as a tail prediction."""
        return self.tails(h, r).gather(1, t.unsqueeze(1))[:, 0]

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self._score("tail", h, r, h)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        return self._score("head", t, r, t)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation, (b, R)."""
        return self._score("relation", h, h, t)

    def _score(self, task: str, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        member_weights = self.weights[task][self._group(task, h, r, t)]  # (b, members)
        total_scores = torch.zeros(())
        for member_number, member_scores in enumerate(self._members(task, h, r, t)):
            total_scores = total_scores + member_weights[:, member_number, None] * member_scores
        return total_scores

    def _members(self, task: str, h: Tensor, r: Tensor, t: Tensor) -> list[Tensor]:
        """Each member's logits, (b, candidates)."""
        model_scores = [
            torch.log_softmax(score_candidates(scorer, task, h, r, t), dim=1) for scorer in self.models.values()
        ]
        return model_scores + [
            (score_candidates(scorer, task, h, r, t) + FLOOR).log() for scorer in self.counts.values()
        ]

    def _group(self, task: str, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The pair of node types that a question is about, (b,)."""
        return self._pairs(h, t) if task == "relation" else self._relation_pairs[r]

    def _pairs(self, h: Tensor, t: Tensor) -> Tensor:
        return self._kinds[h] * self._kind_count + self._kinds[t]

    def _fitted(self, task: str, chosen_triples: np.ndarray, true_triples: TrueTriples) -> Tensor:
        """The weights of one task, (pairs of node types, members), not negative; known answers do not compete."""
        answer_column = TASKS.index(task)
        batches = []
        for batch_start in range(0, len(chosen_triples), BATCH):
            batch_ids = chosen_triples[batch_start : batch_start + BATCH]
            h, r, t = torch.from_numpy(np.ascontiguousarray(batch_ids.T))
            with torch.inference_mode():
                member_scores = torch.stack(self._members(task, h, r, t), dim=2)  # (b, candidates, members)
            answer_mask = torch.zeros(member_scores.shape[:2], dtype=torch.bool)
            answer_mask[
                tuple(torch.from_numpy(index_array) for index_array in true_triples.answers(task, batch_ids))
            ] = True
            answer_mask[torch.arange(len(batch_ids)), (h, r, t)[answer_column]] = False
            batches.append((member_scores.clone(), answer_mask, (h, r, t)[answer_column], self._group(task, h, r, t)))
        raw_weights = torch.zeros_like(self.weights[task], requires_grad=True)  # weight = softplus
        optimizer = torch.optim.LBFGS([raw_weights], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            total_loss = torch.zeros(())
            for member_scores, answer_mask, answers, kind_groups in batches:
                logits = torch.bmm(member_scores, functional.softplus(raw_weights)[kind_groups].unsqueeze(2)).squeeze(2)
                batch_loss = functional.cross_entropy(
                    logits.masked_fill(answer_mask, -torch.inf), answers, reduction="sum"
                )
                torch.autograd.backward(batch_loss / len(chosen_triples))
                total_loss += batch_loss.detach() / len(chosen_triples)
            return total_loss

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return functional.softplus(raw_weights).detach()
