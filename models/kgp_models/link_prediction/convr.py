"""ConvR: the relation's embedding is the convolution filters (Jiang, Wang and Wang 2019, NAACL)."""

from __future__ import annotations

import math
from typing import Any

from pykeen.models import ERModel
from pykeen.triples import KGInfo
from torch import Tensor
from torch.nn.init import xavier_normal_, zeros_

from kgp_models.link_prediction.hyper import HypERScorer, RelationConvolution


class ConvRInteraction(RelationConvolution):
    """ConvR: f(h, r, t) = ReLU(W vec(ReLU(S ∗ R⁽¹⁾), …, ReLU(S ∗ R⁽ᶜ⁾)) + b)·t + b_t.

    S is the head reshaped to `height` × `width`; the relation, of dimension c·`filter_height`·`filter_width`, is cut
    into the c filters R⁽ˡ⁾. Shapes: h, t (..., d); r (..., e); b_t (...).
    Jiang, Wang, Wang: Adaptive Convolution for Multi-Relational Learning, NAACL 2019, section 3.

    The formula in the paper has no bias b_t; that and `batch_norm` come with ConvE's 1-N training, which the paper
    follows. Without `batch_norm` initial scores hardly vary (d = 64, 8,000 entities: deviation 0.001 for 0.09).

    Raises ValueError when height × width is not the dimension or the filter is larger than S.
    """

    def __init__(
        self,
        embedding_dim: int = 200,
        num_filters: int = 100,
        filter_height: int = 3,
        filter_width: int = 3,
        height: int | None = None,
        width: int | None = None,
        input_dropout: float = 0.2,
        feature_map_dropout: float = 0.2,
        hidden_dropout: float = 0.3,
        batch_norm: bool = True,
    ) -> None:
        height, width = image_shape(embedding_dim, height, width)
        row_count, column_count = height - filter_height + 1, width - filter_width + 1
        if min(row_count, column_count, filter_height, filter_width) < 1:
            raise ValueError(f"a filter of {filter_height} × {filter_width} does not fit into {height} × {width}")
        super().__init__(
            embedding_dim=embedding_dim,
            relation_dim=num_filters * filter_height * filter_width,
            num_filters=num_filters,
            num_windows=row_count * column_count,
            input_dropout=input_dropout,
            feature_map_dropout=feature_map_dropout,
            hidden_dropout=hidden_dropout,
            batch_norm=batch_norm,
        )
        self.image = (height, width)
        self.filter = (filter_height, filter_width)

    def windows(self, h: Tensor) -> Tensor:
        """(..., rows · columns, filter height · width), where rows × columns is the feature map's shape."""
        head_image = h.view(*h.shape[:-1], *self.image)
        patches = head_image.unfold(-2, self.filter[0], 1).unfold(-2, self.filter[1], 1)  # (..., rows, columns, fh, fw)
        return patches.flatten(-2).flatten(-3, -2)

    def filters(self, r: Tensor) -> Tensor:
        """(..., filters, filter height · width)."""
        return r.view(*r.shape[:-1], -1, math.prod(self.filter))


def image_shape(embedding_dim: int, height: int | None, width: int | None) -> tuple[int, int]:
    """Height and width of the reshaped head; by default as square as the dimension's divisors allow: 64 is 8 × 8."""
    if height is None and width is None:
        height = max(divisor for divisor in range(1, math.isqrt(embedding_dim) + 1) if embedding_dim % divisor == 0)
    if height is None or width is None:
        side_length = height or width or 1
        height, width = (
            (side_length, embedding_dim // side_length)
            if width is None
            else (embedding_dim // side_length, side_length)
        )
    if height * width != embedding_dim:
        raise ValueError(f"{embedding_dim} dimensions do not make an image of {height} × {width}")
    return height, width


class ConvR(ERModel[Tensor, Tensor, tuple[Tensor, Tensor]]):  # type: ignore[no-untyped-call]
    """Entities with a vector and a bias, relations with their filters, scored by `ConvRInteraction`.

    Made for 1-N training with inverse relations: give it a factory with `create_inverse_triples=True`.
    """

    def __init__(
        self,
        *,
        triples_factory: KGInfo,
        embedding_dim: int = 200,
        num_filters: int = 100,
        filter_height: int = 3,
        filter_width: int = 3,
        height: int | None = None,
        width: int | None = None,
        input_dropout: float = 0.2,
        feature_map_dropout: float = 0.2,
        hidden_dropout: float = 0.3,
        batch_norm: bool = True,
        **kwargs: Any,
    ) -> None:
        interaction = ConvRInteraction(
            embedding_dim=embedding_dim,
            num_filters=num_filters,
            filter_height=filter_height,
            filter_width=filter_width,
            height=height,
            width=width,
            input_dropout=input_dropout,
            feature_map_dropout=feature_map_dropout,
            hidden_dropout=hidden_dropout,
            batch_norm=batch_norm,
        )
        super().__init__(
            triples_factory=triples_factory,
            interaction=interaction,
            entity_representations_kwargs=[
                {"shape": embedding_dim, "initializer": xavier_normal_},
                {"shape": (), "initializer": zeros_},
            ],
            relation_representations_kwargs={"shape": interaction.relation_dim, "initializer": xavier_normal_},
            **kwargs,
        )


class ConvRScorer(HypERScorer):
    """ConvR scores by a query like HypER, so its candidates are scored the same way."""
