"""The encoder and the graph together: how likely an image has a link, by both.

For an image and a link the combined log-odds are

    encoder * (z - p) + neighbours * (n - p) + relations * r + prior * p + bias of the link

with z the encoder's logit; p the log-odds of the link's share among the training images; n those of its share among
the `NEAREST` most similar images of the graph, drawn towards p as by `SMOOTHING` further images; and r by how much more
likely the encoder finds the links of related concepts than their shares. The four weights and the biases are fitted on
images that the training did not use; biases are drawn towards 0. A link that too few training images have for the
encoder is predicted by the neighbours alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.images.examples import Link
from kgp_models.images.losses import known_loss

NEAREST: Final = 30  # images of the graph that are asked
SMOOTHING: Final = 10.0  # images with the training's shares that are added to them
BLOCK: Final = 256
STEPS: Final = 100
BIAS_PENALTY: Final = 0.02  # of the mean square of the biases, next to the mean loss


@dataclass(frozen=True, eq=False)
class Combination:
    """The fitted weights; `biases` of the links, (links,)."""

    encoder: float
    neighbours: float
    relations: float
    prior: float
    biases: Tensor

    def logits(self, terms: Terms) -> Tensor:
        """The combined log-odds, (images, links)."""
        weights = torch.tensor([self.encoder, self.neighbours, self.relations, self.prior])
        return terms.weighted(weights) + self.biases

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        weights = {name: round(getattr(self, name), 6) for name in WEIGHTS}
        return {**weights, "biases": [round(bias, 6) for bias in self.biases.tolist()]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any] | None) -> Combination | None:
        """As `as_dict` wrote it; None where there is none."""
        if document is None:
            return None
        biases = torch.tensor(document["biases"], dtype=torch.float32)
        encoder, neighbours, relations, prior = (float(document[name]) for name in WEIGHTS)
        return cls(encoder, neighbours, relations, prior, biases)


WEIGHTS: Final = ("encoder", "neighbours", "relations", "prior")


@dataclass(frozen=True, eq=False)
class Terms:
    """What is combined, each (images, links) but for `prior`, (links,)."""

    encoder: Tensor
    neighbours: Tensor
    relations: Tensor
    prior: Tensor

    def weighted(self, weights: Tensor) -> Tensor:
        """The sum of the terms by their weights, in the order of `WEIGHTS`."""
        return (
            weights[0] * (self.encoder - self.prior)
            + weights[1] * (self.neighbours - self.prior)
            + weights[2] * self.relations
            + weights[3] * self.prior
        )


def make_terms(logits: Tensor, neighbour_shares: Tensor, shares: Tensor, related: Tensor) -> Terms:
    """The terms of the encoder's logits and the neighbours' shares (images, links), the training's shares (links,), and
    how links are related (links, links), see `related_links`.
    """
    more_likely = torch.sigmoid(logits) - shares
    return Terms(
        logits, torch.logit(neighbour_shares, eps=1e-6), more_likely @ related.T, torch.logit(shares, eps=1e-6)
    )


def fit_combination(terms: Terms, targets: Tensor) -> Combination:
    """The weights of the least loss for targets (images, links), NaN where it is not known."""
    weights = torch.tensor([1.0, 0.1, 0.0, 1.0], requires_grad=True)
    biases = torch.zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = known_loss(terms.weighted(weights) + biases, targets) + BIAS_PENALTY * biases.square().mean()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    encoder, neighbours, by_relations, prior = weights.detach().tolist()
    return Combination(encoder, neighbours, by_relations, prior, biases.detach().clone())


def neighbour_shares(
    vectors: Tensor,
    graph_vectors: Tensor,
    graph_targets: Tensor,
    shares: Tensor,
    groups: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Tensor:
    """The share of each link among the graph's most similar images, drawn towards `shares`, (images, links).

    `vectors` (images, width) and `graph_vectors` (n, width) are compared by their cosine; `graph_targets` (n, links)
    are NaN where it is not known. `groups` are the subjects of both: an image of the same subject is no neighbour.
    """
    normal_graph = functional.normalize(graph_vectors.float(), dim=-1)
    blocks = []
    codes: dict[str, int] = {}
    own_codes, graph_codes = (
        torch.tensor([codes.setdefault(subject, len(codes)) for subject in subjects]) for subjects in groups or ((), ())
    )
    for start in range(0, len(vectors), BLOCK):
        cosines = functional.normalize(vectors[start : start + BLOCK].float(), dim=-1) @ normal_graph.T
        if groups is not None:
            cosines = cosines.masked_fill(own_codes[start : start + BLOCK, None] == graph_codes, -2.0)
        nearest = cosines.topk(min(NEAREST, len(graph_vectors)), dim=1).indices
        blocks.append(smoothed_shares(graph_targets[nearest], shares))
    return torch.cat(blocks) if blocks else torch.empty(0, len(shares))


def smoothed_shares(targets: Tensor, shares: Tensor) -> Tensor:
    """The share of each link, (images, links), among neighbours whose targets are (images, neighbours, links)."""
    is_known = ~targets.isnan()
    return (targets.nan_to_num().sum(1) + SMOOTHING * shares) / (is_known.sum(1) + SMOOTHING)


def related_links(links: Sequence[Link], relations: Sequence[tuple[str, str]]) -> Tensor:
    """How links are related, (links, links): rows of weights that sum to 1 over links of the same stance to concepts
    that a relation joins with the link's, (head, tail) by CUI; rows of 0 for others.
    """
    joined = {frozenset(pair) for pair in relations if pair[0] != pair[1]}
    matrix = torch.tensor(
        [
            [float(first.stance == second.stance and frozenset((first.cui, second.cui)) in joined) for second in links]
            for first in links
        ]
    ).reshape(len(links), len(links))
    return matrix / matrix.sum(1, keepdim=True).clamp(min=1.0)
