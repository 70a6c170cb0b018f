"""The vector indexes: which nodes have embeddings of which model, and whether the index on them fits and is online.

An image's embedding is on its own node, (:ImageVector {id, embedding, embedding_model}), a concept's on
(:ConceptVector {cui, …}), with the key of its image or concept and without a relationship. ``embedding_model`` is the
first 16 digits of the hash of the model that made it. See docs/decisions/0010-vector-nodes.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Self

from kgplatform import queries, trained_on
from kgplatform.errors import KgpError
from kgplatform.graph import Graph
from kgplatform.search.encoder import Encoder
from kgplatform.trained_on import TrainedOn

DIGITS: Final = 16  # of a model's hash, on each node
# Measured on 100,000 images (docs/search.md): m and ef_construction are twice the defaults; vectors are quantized as
# by default, which takes less memory and finds the same, if the best are compared again by the whole vectors.
BUILT: Final[Mapping[str, Any]] = {
    "vector.similarity_function": "cosine",
    "vector.hnsw.m": 32,
    "vector.hnsw.ef_construction": 200,
    "vector.quantization.enabled": True,
}
POLL_SECONDS: Final = 0.2


@dataclass(frozen=True)
class EncoderIdentity:
    """What is known of an encoder, asked once: hashing its weights takes a while."""

    name: str
    sha256: str
    width: int

    @classmethod
    def from_encoder(cls, encoder: Encoder) -> Self:
        """The encoder at present."""
        return cls(encoder.name, encoder.sha256, encoder.width)

    @property
    def digits(self) -> str:
        """What stands on each node for the model."""
        return self.sha256[:DIGITS]


class Part(Enum):
    """What has embeddings. The value names its queries and its index."""

    IMAGES = "image"
    CONCEPTS = "concept"

    @property
    def plural(self) -> str:
        """As people say it."""
        return f"{self.value}s"

    @property
    def index(self) -> str:
        """The name of its vector index."""
        return f"{self.value}_embedding"


@dataclass(frozen=True)
class Index:
    """A vector index: POPULATING, ONLINE or FAILED, percent built, dimensions, and its similarity in capitals."""

    state: str
    percent: float
    dimensions: int | None
    similarity: str


@dataclass(frozen=True)
class EmbeddingState:
    """How many nodes there are, how many of them have something to embed, and how many an embedding of which model."""

    part: Part
    nodes: int
    readable: int
    models: Mapping[str, int]
    index: Index | None


def state(graph: Graph, part: Part) -> EmbeddingState:
    """The embeddings and the index at present."""
    state_rows = graph.read(queries.get(f"embed/state_{part.value}"))
    nodes_by_model = {
        state_row["model"]: state_row["nodes"] for state_row in state_rows if state_row["model"] is not None
    }
    return EmbeddingState(
        part,
        sum(state_row["nodes"] for state_row in state_rows),
        sum(state_row["readable"] for state_row in state_rows),
        nodes_by_model,
        index(graph, part),
    )


def index(graph: Graph, part: Part) -> Index | None:
    """The vector index; None where there is none."""
    for index_row in graph.read(queries.get("embed/show_index"), name=part.index):
        index_config = index_row["config"]
        dimensions = index_config.get("vector.dimensions")
        similarity = str(index_config.get("vector.similarity_function", "")).upper()
        return Index(
            index_row["state"], index_row["percent"], None if dimensions is None else int(dimensions), similarity
        )
    return None


def graph_warnings(graph: Graph, trained: TrainedOn) -> tuple[str, ...]:
    """What users of a model are warned of with the images of this graph."""
    images_by_dataset = {
        dataset_row["dataset"]: dataset_row["images"] for dataset_row in graph.read(queries.get("search/data_sets"))
    }
    synthetic_count = sum(
        image_count for dataset, image_count in images_by_dataset.items() if dataset in trained_on.SYNTHETIC
    )
    return tuple(trained_on.training_data_warnings(trained, sum(images_by_dataset.values()), synthetic_count))


def model_names(graph: Graph) -> dict[str, str]:
    """Digits of the models that have embedded something -> their names."""
    return {model_row["model"]: model_row["name"] for model_row in graph.read(queries.get("embed/models"))}


def fits(index: Index | None, width: int) -> bool:
    """Whether the index takes vectors of that width."""
    return index is not None and index.dimensions == width and index.similarity == "COSINE" and index.state != "FAILED"


def drop(graph: Graph, part: Part) -> None:
    """Drop the index, where there is one."""
    graph.run_unmanaged(queries.get("embed/drop_index"), name=part.index)


def clear(graph: Graph, part: Part, models: list[str]) -> int:
    """Take the embeddings of these models out; returns of how many nodes. Interrupted, it is finished by the next."""
    [answer] = graph.run_unmanaged(queries.get(f"embed/clear_{part.value}"), models=models).records
    return int(answer["cleared"])


def ensure(
    graph: Graph, part: Part, width: int, progress: Callable[[int, int | None], None] = lambda done, total: None
) -> bool:
    """Make the index where there is none that fits, and wait until it is online; returns whether it was made."""
    vector_index = index(graph, part)
    is_new = not fits(vector_index, width)
    if is_new:
        drop(graph, part)
        _make(graph, part, width)
        vector_index = index(graph, part)
    while vector_index is not None and vector_index.state == "POPULATING":
        progress(int(vector_index.percent), 100)
        time.sleep(POLL_SECONDS)
        vector_index = index(graph, part)
    if vector_index is None:
        hint = f"Drop that index, then the same command creates {part.index}."
        raise KgpError(f"another index is on the embeddings of {part.plural}", hint)
    if vector_index.state != "ONLINE":
        raise KgpError(f"the index {part.index} could not be built", "The server's log says why.")
    return is_new


def restore(graph: Graph, part: Part, width: int) -> None:
    """Make the index where there is none, without waiting until it is online."""
    if index(graph, part) is None:
        _make(graph, part, width)


def tidy(graph: Graph) -> int:
    """Delete the vectors of images and concepts that are gone; returns how many. Runs count what they still have."""
    [answer] = graph.run_unmanaged(queries.get("embed/clear_orphans")).records
    recount(graph)
    return int(answer["cleared"])


def recount(graph: Graph) -> None:
    """Set the figures of runs of `kgp embed` to what there is now."""
    graph.write(queries.get("embed/recount"))


def _make(graph: Graph, part: Part, width: int) -> None:
    graph.run_unmanaged(queries.get(f"embed/index_{part.value}"), config={"vector.dimensions": width, **BUILT})
