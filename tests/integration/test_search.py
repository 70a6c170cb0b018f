"""Search on a real graph next to plain numpy: by text, by concept, and by both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kgplatform import queries
from kgplatform.errors import KgpError
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.schema import Stance
from kgplatform.search import index, search
from kgplatform.search.embed import embed
from kgplatform.search.index import Part
from tests.integration import searchable_graphs
from tests.integration.drawn_images import IMAGES, ingest_image_graph, without_indexes
from tests.integration.searchable_graphs import EDGES, FAKE, cosines, expected_image_ids, ids, search_images

pytestmark = pytest.mark.server

search_image_root = searchable_graphs.search_image_root
searchable_graph = searchable_graphs.searchable_graph


def test_by_text_the_nearest_images_come_first(searchable_graph: Graph) -> None:
    search_result = search_images(searchable_graph, "a large finding", top=12)
    expected = expected_image_ids(searchable_graph, "a large finding")
    assert (search_result.by, ids(search_result), search_result.notes) == (Part.IMAGES, expected[:12], ())
    similarities = cosines(searchable_graph, "a large finding")
    for rank, hit in enumerate(search_result.hits, 1):
        assert (hit.rank, hit.path) == (rank, f"p/{int(hit.id[1:]) - 10_000_000}.png")
        assert hit.similarity == pytest.approx(similarities[hit.id], abs=1e-5)
        assert hit.naf is not None
        assert len(hit.concepts) == 1


CONDITIONS = [
    (("C9900003",), "POSITIVE", ()),
    (("C9900003",), "NEGATIVE", ()),
    (("C9900003",), "UNCERTAIN", ()),
    (("C9900005", "C9900007"), "NEGATIVE", ()),
    (("C9900001",), "NEGATIVE", ("C9900006",)),
    (("C9900003",), "POSITIVE", ("C9900003",)),
]


@pytest.mark.parametrize(("concepts", "stance", "without"), CONDITIONS)
@pytest.mark.parametrize("text", ["", "effusion on the left"])
def test_concepts_filter_by_stance(
    searchable_graph: Graph, text: str, concepts: tuple[str, ...], stance: str, without: tuple[str, ...]
) -> None:
    search_result = search_images(
        searchable_graph, text, concepts=concepts, stance=Stance(stance), without=without, top=IMAGES
    )
    assert ids(search_result) == expected_image_ids(searchable_graph, text, concepts, stance, without)
    assert bool(search_result.hits) == (concepts != without)


def test_a_text_with_only_without(searchable_graph: Graph) -> None:
    search_result = search_images(searchable_graph, "effusion", without=["finding C9900003"], top=IMAGES)
    assert ids(search_result) == expected_image_ids(searchable_graph, "effusion", without=("C9900003",))


# A graph on which both routes of the hybrid query are worth while.


MANY, WIDTH = 1500, 16
MAKE = parse_query(
    "t/m",
    "// Images.\n// param rows list: id, NaF, CUIs\nUNWIND $rows AS row\n"
    "CREATE (i:Image {id: row[0], naf: row[1]})\n"
    "WITH i, row UNWIND row[2] AS cui MERGE (c:Concept {cui: cui}) CREATE (i)-[:POSITIVE]->(c)",
)


@pytest.fixture
def large_image_graph(graph: Graph) -> Iterator[tuple[Graph, NDArray[np.float32], list[set[str]]]]:
    """Unit vectors; C0000001 on half of the images, C0000002 on five, C0000003 on the 600 least like the first axis."""
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(MANY, WIDTH))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    far_images = set(np.argsort(vectors[:, 0])[:600].tolist())
    cuis_by_image = [
        {"C0000009"}
        | ({"C0000001"} if generator.random() < 0.5 else set())
        | ({"C0000002"} if image_number % 300 == 0 else set())
        | ({"C0000003"} if image_number in far_images else set())
        for image_number in range(MANY)
    ]
    without_indexes(graph)
    graph.write(
        MAKE,
        rows=[
            [f"I{image_number}", image_number / 7, sorted(image_cuis)]
            for image_number, image_cuis in enumerate(cuis_by_image)
        ],
    )
    vector_rows = [[f"I{image_number}", vector.tolist()] for image_number, vector in enumerate(vectors)]
    graph.write(queries.get("embed/write_image"), rows=vector_rows, model="m")
    index.ensure(graph, Part.IMAGES, WIDTH)
    yield graph, vectors, cuis_by_image
    without_indexes(graph)


@pytest.mark.parametrize(
    ("concepts", "without", "route"),
    [
        (["C0000001"], [], True),
        (["C0000001"], ["C0000003"], True),
        (["C0000002"], [], False),
        (["C0000001", "C0000002"], [], False),
        (["C0000003"], [], False),  # all candidates of the index lack it
        ([], ["C0000001"], True),
        ([], ["C0000009"], False),  # no image is left
    ],
)
def test_both_routes_of_the_hybrid_query_agree_with_numpy(
    large_image_graph: tuple[Graph, NDArray[np.float32], list[set[str]]],
    concepts: list[str],
    without: list[str],
    route: bool,
) -> None:
    graph, vectors, cuis_by_image = large_image_graph
    query_vector = np.eye(WIDTH, dtype=np.float32)[0]
    candidates = [
        image_number
        for image_number, image_cuis in enumerate(cuis_by_image)
        if set(concepts) <= image_cuis and not set(without) & image_cuis
    ]
    nearest = sorted(candidates, key=lambda image_number: -vectors[image_number] @ query_vector)[:10]
    for max_compared, uses_index in ((0, route), (10_000, False)):
        records = graph.read(
            queries.get("search/image_both"),
            vector=query_vector.tolist(),
            model="m",
            wanted=concepts,
            without=without,
            stance="POSITIVE",
            compared=max_compared,
            asked=400,
            spare=4,
            top=10,
        )
        assert [record["id"] for record in records] == [f"I{image_number}" for image_number in nearest]
        assert {record["by_index"] for record in records} <= {uses_index}
        np.testing.assert_allclose(
            [record["similarity"] for record in records], vectors[nearest] @ query_vector, atol=1e-5
        )


# By concepts.


def test_by_concepts_images_are_ranked_by_the_names_near_the_text(searchable_graph: Graph) -> None:
    search_result = search_images(searchable_graph, "finding c9900003", by=Part.CONCEPTS, top=IMAGES)
    name_similarities = sorted(
        cosines(searchable_graph, "finding c9900003", "C").items(), key=lambda pair: (-pair[1], pair[0])
    )
    positive_edges = {
        (edge_row["i"], edge_row["c"]) for edge_row in searchable_graph.read(EDGES) if edge_row["r"] == "POSITIVE"
    }
    used_concepts = [
        (cui, similarity_score)
        for cui, similarity_score in name_similarities
        if any(concept_cui == cui for _, concept_cui in positive_edges) and similarity_score > 0
    ][: search.CONCEPTS_PER_TEXT]
    assert [(concept.cui, round(concept.similarity, 4)) for concept in search_result.near] == [
        (cui, round(similarity_score, 4)) for cui, similarity_score in used_concepts
    ]
    assert search_result.near[0].name == "finding C9900003"
    naf_scores = {edge_row["i"]: edge_row["naf"] for edge_row in searchable_graph.read(EDGES)}
    image_sums = {
        image_id: sum(similarity_score for cui, similarity_score in used_concepts if (image_id, cui) in positive_edges)
        for image_id in naf_scores
    }
    expected = sorted(
        (image_id for image_id, similarity_score in image_sums.items() if similarity_score),
        key=lambda image_id: (-round(image_sums[image_id], 4), -naf_scores[image_id], image_id),
    )
    assert ids(search_result) == expected
    assert [hit.similarity for hit in search_result.hits] == pytest.approx(
        [image_sums[image_id] for image_id in expected], abs=1e-4
    )
    assert all(hit.matched for hit in search_result.hits)


def test_where_only_concepts_have_embeddings_they_are_taken_and_that_is_told(graph: Graph, tmp_path: Path) -> None:
    ingest_image_graph(without_indexes(graph), tmp_path / "m", paths=False)
    embed(graph, FAKE, only=Part.CONCEPTS)
    search_result = search_images(graph, "finding c9900003")
    assert search_result.by is Part.CONCEPTS
    assert "no image has an embedding: the text is compared with the names of concepts" in search_result.notes
    assert search_result.hits[0].concepts == ("finding C9900003",)
    filtered = search_images(graph, "finding c9900003", concepts=["C9900007"], stance=Stance.UNCERTAIN, top=IMAGES)
    stances = {(edge_row["i"], edge_row["r"], edge_row["c"]) for edge_row in graph.read(EDGES)}
    assert filtered.hits
    assert all((image, "UNCERTAIN", "C9900007") in stances for image in ids(filtered))
    with pytest.raises(KgpError, match="no image of the graph has an embedding"):
        search_images(graph, "finding", by=Part.IMAGES)
    without_indexes(graph)
