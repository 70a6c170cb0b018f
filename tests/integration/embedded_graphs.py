"""A graph without embeddings, its images, and calls that embed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kgplatform import runs
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.search import index
from kgplatform.search.embed import EmbeddingOutcome, embed
from kgplatform.search.index import Part
from kgplatform.settings import Settings
from tests.conftest import CommandResult
from tests.fake_encoder import FakeEncoder
from tests.integration.drawn_images import (
    embedded,
    fake_kgp,
    images_in,
    ingest_image_graph,
    without_indexes,
)

Fake = Callable[..., CommandResult]
FAKE, OTHER, NARROW = FakeEncoder(), FakeEncoder("other"), FakeEncoder("narrow", width=16)
NEW_IMAGE = parse_query("t/n", "// A new image.\nCREATE (:Image {id: 'I7', path: 'p/7.png'})")


@pytest.fixture(scope="module")
def embedding_image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images_in(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def unembedded_graph(graph: Graph, tmp_path: Path) -> Iterator[Graph]:
    ingest_image_graph(without_indexes(graph), tmp_path / "medmkg")
    yield graph
    without_indexes(graph)


@pytest.fixture
def fake_embedding_kgp(settings: Settings) -> Fake:
    return lambda *arguments: fake_kgp(settings.home, *arguments)


def embed_images(graph: Graph, root: Path | None, encoder: FakeEncoder = FAKE, **options: Any) -> EmbeddingOutcome:
    return embed(graph, encoder, images=root, **options)


def everything(graph: Graph) -> dict[str, Any]:
    return {
        "nodes": {
            node_key: (vector.tolist(), model_hash) for node_key, (vector, model_hash) in embedded(graph).items()
        },
        "runs": [run_record for run_record in runs.list_runs(graph) if run_record["kind"] == "embed"],
        "indexes": [index.index(graph, index_part) for index_part in Part],
    }
