"""kgplatform: a knowledge-graph platform for medical imaging on Neo4j.

    import kgplatform as kgp

    with kgp.open() as graph:
        graph.ingest("medmkg", path)

`open` and `start` give a `KnowledgeGraph` (`kgplatform.library`). The functions of models need the extra ``ml``.
All are loaded when they are first used, so that the import takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgp_models.library.functions import ask, generate, open_encoder
    from kgp_models.library.generator import train_generator
    from kgp_models.library.images import predict_images, train_images
    from kgp_models.library.links import predict_links, train_links
    from kgp_models.library.retrieval import train_retrieval
    from kgp_models.library.vqa import train_vqa
    from kgplatform.library import KnowledgeGraph, compare_judges, open, split, start

__version__ = "0.2.0"
__all__ = [
    "KnowledgeGraph",
    "ask",
    "compare_judges",
    "generate",
    "open",
    "open_encoder",
    "predict_images",
    "predict_links",
    "split",
    "start",
    "train_generator",
    "train_images",
    "train_links",
    "train_retrieval",
    "train_vqa",
]

_LIBRARY_FUNCTIONS = frozenset(
    {"KnowledgeGraph", "compare_judges", "open", "split", "start"}
)  # the others are plug-ins, of another package


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _LIBRARY_FUNCTIONS:
        return getattr(import_module("kgplatform.library"), name)
    return import_module("kgplatform.plugins").load_plugin("functions", name, "function")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
