"""A graph with embeddings, and searches of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kgplatform import naf
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.search.embed import embed
from kgplatform.search.search import Searcher, SearchResult
from tests.fake_encoder import FakeEncoder
from tests.integration.drawn_images import embedded, images_in, ingest_image_graph, without_indexes

FAKE = FakeEncoder()
EDGES = parse_query(
    "t/s",
    "// Stances.\nMATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept) "
    "RETURN i.id AS i, type(r) AS r, c.cui AS c, i.naf AS naf",
)


@pytest.fixture(scope="module")
def search_image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images_in(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def searchable_graph(graph: Graph, tmp_path: Path, search_image_root: Path) -> Iterator[Graph]:
    """Embedded, scored."""
    ingest_image_graph(without_indexes(graph), tmp_path / "medmkg")
    embed(graph, FAKE, images=search_image_root)
    naf.score(graph)
    yield graph
    without_indexes(graph)


def search_images(graph: Graph, text: str = "", encoder: FakeEncoder = FAKE, **options: Any) -> SearchResult:
    return Searcher(graph, lambda: encoder).search(text, **options)


def ids(search_result: SearchResult) -> list[str]:
    return [hit.id for hit in search_result.hits]


def cosines(graph: Graph, text: str, kind: str = "I") -> dict[str, float]:
    query_vector = FAKE.texts([text])[0].astype(float)
    return {
        node_key: float(vector @ query_vector)
        for node_key, (vector, _) in embedded(graph).items()
        if node_key[0] == kind
    }


def expected_image_ids(
    graph: Graph, text: str, concepts: tuple[str, ...] = (), stance: str = "POSITIVE", without: tuple[str, ...] = ()
) -> list[str]:
    """Ids of the images that fulfil the conditions, most similar first, else highest NaF first."""
    stances = {(edge_row["i"], edge_row["r"], edge_row["c"]) for edge_row in graph.read(EDGES)}
    naf_scores = {edge_row["i"]: edge_row["naf"] for edge_row in graph.read(EDGES)}
    candidates = [
        image_id
        for image_id in naf_scores
        if all((image_id, stance, cui) in stances for cui in concepts)
        and not any((image_id, "POSITIVE", cui) in stances for cui in without)
    ]
    similarities = cosines(graph, text) if text else {}
    return sorted(
        candidates, key=lambda image_id: (-similarities[image_id] if text else -naf_scores[image_id], image_id)
    )
