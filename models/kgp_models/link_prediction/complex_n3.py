"""ComplEx as Lacroix et al. trained it: small initial values; reciprocal relations and N3 come by settings."""

from __future__ import annotations

from typing import Any

import torch
from pykeen.models import ERModel
from pykeen.nn.modules import ComplExInteraction


class ComplExN3(ERModel[Any, Any, Any]):
    """Re⟨h, r, t̄⟩ (Lacroix, Usunier and Obozinski 2018, §4), initial values drawn from N(0, `initial_scale`²)."""

    def __init__(self, *, embedding_dim: int = 128, initial_scale: float = 1e-3, **model_options: Any) -> None:
        vector_settings = {
            "shape": embedding_dim,
            "dtype": torch.cfloat,
            "initializer": torch.nn.init.normal_,
            "initializer_kwargs": {"std": initial_scale},
        }
        super().__init__(  # type: ignore[no-untyped-call]
            interaction=ComplExInteraction,
            entity_representations_kwargs=vector_settings,
            relation_representations_kwargs=vector_settings,
            **model_options,
        )
