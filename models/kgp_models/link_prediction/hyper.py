"""HypER: convolution filters made from the relation (Balažević, Allen and Hospedales 2019, ICANN)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from pykeen.models import ERModel
from pykeen.nn.modules import Interaction
from pykeen.triples import KGInfo
from torch import Tensor, nn
from torch.nn.init import xavier_normal_, zeros_

from kgp_models.link_prediction.neural import Encoded


class RelationConvolution(Interaction[Tensor, Tensor, tuple[Tensor, Tensor]]):
    """Scores q(h, r)·t + b_t, where q convolves the head with the relation's own filters.

    q(h, r) = ReLU(W vec(ReLU(filters(r) ∗ h)) + b), with dropout and, if wanted, batch normalisation of the head,
    the feature maps and the projection, placed as in ConvE (Dettmers et al. 2018). HypER and ConvR differ in the
    filters and in the head's shape: subclasses give `windows` and `filters`.
    """

    entity_shape = ("d", "")  # vector, and bias as tail
    relation_shape = ("e",)
    _head_indices = (0,)

    def __init__(
        self,
        *,
        embedding_dim: int,
        relation_dim: int,
        num_filters: int,
        num_windows: int,
        input_dropout: float,
        feature_map_dropout: float,
        hidden_dropout: float,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        self.embedding_dim, self.relation_dim = embedding_dim, relation_dim
        self.input = nn.Sequential(_norm(1, batch_norm), nn.Dropout(input_dropout))
        self.features = nn.Sequential(_norm(num_filters, batch_norm), nn.ReLU(), nn.Dropout1d(feature_map_dropout))
        self.projection = nn.Sequential(
            nn.Linear(num_filters * num_windows, embedding_dim),
            nn.Dropout(hidden_dropout),
            _norm(embedding_dim, batch_norm),
            nn.ReLU(),
        )

    @abstractmethod
    def windows(self, h: Tensor) -> Tensor:
        """The stretches of the head that a filter meets, (..., windows, filter size) for (..., d)."""

    @abstractmethod
    def filters(self, r: Tensor) -> Tensor:
        """The relation's filters, (..., filters, filter size) for (..., e)."""

    def query(self, h: Tensor, r: Tensor) -> Tensor:
        """q(h, r), (..., d), for heads (..., d) and relations (..., e). Raises ValueError for other last dimensions."""
        if h.shape[-1] != self.embedding_dim or r.shape[-1] != self.relation_dim:
            expected_sizes, actual_sizes = (self.embedding_dim, self.relation_dim), (h.shape[-1], r.shape[-1])
            raise ValueError(f"head and relation must have dimensions {expected_sizes}, not {actual_sizes}")
        head_input = self.input(h.reshape(-1, 1, self.embedding_dim)).view(h.shape)
        feature_maps = self.filters(r) @ self.windows(head_input).transpose(-1, -2)  # (..., filters, windows)
        features = self.features(feature_maps.reshape(-1, *feature_maps.shape[-2:]))
        return self.projection(features.flatten(start_dim=1)).view(*feature_maps.shape[:-2], -1)  # type: ignore[no-any-return]

    def forward(self, h: Tensor, r: Tensor, t: tuple[Tensor, Tensor]) -> Tensor:
        """q(h, r)·t + b_t over broadcast leading dimensions, (...)."""
        tail_vector, tail_bias = t
        # einsum, as a product and a sum would hold (batch, entities, d)
        return torch.einsum("...d,...d->...", self.query(h, r), tail_vector) + tail_bias


def _norm(channels: int, enabled: bool) -> nn.Module:
    return nn.BatchNorm1d(channels) if enabled else nn.Identity()


class HypERInteraction(RelationConvolution):
    """HypER: f(h, r, t) = ReLU(vec(h ∗ F_r) W)·t + b_t, where b_t is in the authors' code only.

    F_r = vec⁻¹(r H), a hypernetwork H of one fully connected layer, makes `num_filters` filters of
    1 × `filter_length` from the relation. Shapes: h, t (..., d); r (..., e); b_t (...).
    Batch norms and dropouts as in the authors' code (github.com/ibalazevic/HypER).
    Balažević, Allen, Hospedales: Hypernetwork Knowledge Graph Embeddings, ICANN 2019, arXiv:1808.07018.

    Raises ValueError when the filter is longer than the head.
    """

    def __init__(
        self,
        embedding_dim: int = 200,
        relation_dim: int = 200,
        num_filters: int = 32,
        filter_length: int = 9,
        input_dropout: float = 0.2,
        feature_map_dropout: float = 0.2,
        hidden_dropout: float = 0.3,
    ) -> None:
        if not 0 < filter_length <= embedding_dim:
            raise ValueError(f"a filter of length {filter_length} does not fit into {embedding_dim} dimensions")
        super().__init__(
            embedding_dim=embedding_dim,
            relation_dim=relation_dim,
            num_filters=num_filters,
            num_windows=embedding_dim - filter_length + 1,
            input_dropout=input_dropout,
            feature_map_dropout=feature_map_dropout,
            hidden_dropout=hidden_dropout,
            batch_norm=True,
        )
        self.num_filters, self.filter_length = num_filters, filter_length
        self.hypernetwork = nn.Linear(relation_dim, num_filters * filter_length)

    def windows(self, h: Tensor) -> Tensor:
        """(..., d − length + 1, length)."""
        return h.unfold(-1, self.filter_length, 1)

    def filters(self, r: Tensor) -> Tensor:
        """(..., filters, length)."""
        filter_weights: Tensor = self.hypernetwork(r)
        return filter_weights.view(*r.shape[:-1], self.num_filters, self.filter_length)


class HypER(ERModel[Tensor, Tensor, tuple[Tensor, Tensor]]):  # type: ignore[no-untyped-call]
    """Entities with a vector and a bias, relations with a vector, scored by `HypERInteraction`.

    Made for 1-N training with inverse relations: give it a factory with `create_inverse_triples=True`.
    """

    def __init__(
        self,
        *,
        triples_factory: KGInfo,
        embedding_dim: int = 200,
        relation_dim: int | None = None,
        num_filters: int = 32,
        filter_length: int = 9,
        input_dropout: float = 0.2,
        feature_map_dropout: float = 0.2,
        hidden_dropout: float = 0.3,
        **kwargs: Any,
    ) -> None:
        relation_dim = embedding_dim if relation_dim is None else relation_dim
        interaction = HypERInteraction(
            embedding_dim=embedding_dim,
            relation_dim=relation_dim,
            num_filters=num_filters,
            filter_length=filter_length,
            input_dropout=input_dropout,
            feature_map_dropout=feature_map_dropout,
            hidden_dropout=hidden_dropout,
        )
        super().__init__(
            triples_factory=triples_factory,
            interaction=interaction,
            entity_representations_kwargs=[
                {"shape": embedding_dim, "initializer": xavier_normal_},
                {"shape": (), "initializer": zeros_},
            ],
            relation_representations_kwargs={"shape": relation_dim, "initializer": xavier_normal_},
            **kwargs,
        )


class HypERScorer(Encoded):
    """Candidate scores of a `RelationConvolution`, whose query is computed once for all tails."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """q(h, r), (b, d)."""
        query: Tensor = self.interaction.query(self.entities[0](h), self.links[0](r))
        return query

    def bias(self, entities: Tensor | None) -> Tensor:
        """b_t, (n,)."""
        return self.entities[1](entities)
