"""The platform's own link-prediction models with random parameters, in small sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pykeen.triples import KGInfo

from kgp_models.link_prediction.atth import AttH
from kgp_models.link_prediction.convr import ConvR
from kgp_models.link_prediction.hyper import HypER
from kgp_models.link_prediction.murp import MurP

ENTITIES, RELATIONS = 7, 3

MODELS: dict[str, Callable[..., Any]] = {
    "hyper": lambda **options: HypER(embedding_dim=10, relation_dim=5, num_filters=3, filter_length=4, **options),
    "convr": lambda **options: ConvR(embedding_dim=12, num_filters=3, filter_height=2, filter_width=3, **options),
    "convr-bare": lambda **options: ConvR(
        embedding_dim=12, num_filters=3, filter_height=3, filter_width=2, height=4, batch_norm=False, **options
    ),
    "murp": lambda **options: MurP(embedding_dim=5, **options),
    "atth": lambda **options: AttH(embedding_dim=6, **options),
}


def random_link_model(
    name: str,
    entities: int = ENTITIES,
    relations: int = RELATIONS,
    inverse: bool = False,
    dtype: torch.dtype = torch.float64,
    scale: float = 0.6,
) -> Any:
    """The model with every parameter and running statistic random, in evaluation mode."""
    graph_info = KGInfo(entities, relations, create_inverse_triples=inverse)
    model = MODELS[name](triples_factory=graph_info, random_seed=0).to(dtype).eval()
    random_generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=random_generator, dtype=dtype)
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=random_generator, dtype=dtype))
        elif buffer_name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=random_generator, dtype=dtype))
    return model


def all_triples(entities: int = ENTITIES, relations: int = RELATIONS) -> Any:
    return torch.cartesian_prod(torch.arange(entities), torch.arange(relations), torch.arange(entities))
