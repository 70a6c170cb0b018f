"""Search on a real graph next to plain numpy: by text, by concept, by both; and everything that may prevent its
work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from kgplatform import naf, queries
from kgplatform.errors import KgpError, NotFoundError, UsageError
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.schema import Stance
from kgplatform.search import index, search
from kgplatform.search.embed import embed
from kgplatform.search.index import EncoderIdentity, Part
from kgplatform.search.names import NO_MEANING
from kgplatform.search.search import Searcher, SearchResult
from kgplatform.settings import Settings
from tests.conftest import CommandResult, Kgp
from tests.fake_encoder import LONGEST, FakeEncoder
from tests.integration.drawn_images import IMAGES, embedded, fake_kgp, images_in, ingest_image_graph, without_indexes

pytestmark = pytest.mark.server

Fake = Callable[..., CommandResult]
FAKE = FakeEncoder()
EDGES = parse_query(
    "t/s",
    "// Stances.\nMATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept) "
    "RETURN i.id AS i, type(r) AS r, c.cui AS c, i.naf AS naf",
)
HOSTILE = [
    "'",
    '"',
    "`",
    "') RETURN 1 //",
    "$vector",
    "{x: 1}",
    "\\",
    "\u2028 AND OR NOT * ~ ? [ ] ( ) ^ :",
    "\U0001fac1",
]


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


@pytest.fixture
def fake_search_kgp(settings: Settings) -> Fake:
    return lambda *arguments: fake_kgp(settings.home, *arguments)


def _search_images(graph: Graph, text: str = "", encoder: FakeEncoder = FAKE, **options: Any) -> SearchResult:
    return Searcher(graph, lambda: encoder).search(text, **options)


def ids(found: SearchResult) -> list[str]:
    return [hit.id for hit in found.hits]


def cosines(graph: Graph, text: str, kind: str = "I") -> dict[str, float]:
    query_vector = FAKE.texts([text])[0].astype(float)
    return {
        node_key: float(vector @ query_vector)
        for node_key, (vector, _) in embedded(graph).items()
        if node_key[0] == kind
    }


def _expected_image_ids(
    graph: Graph, text: str, wanted: tuple[str, ...] = (), stance: str = "POSITIVE", without: tuple[str, ...] = ()
) -> list[str]:
    """Ids of the images that fulfil the conditions, most similar first, else highest NaF first."""
    stances = {(edge_row["i"], edge_row["r"], edge_row["c"]) for edge_row in graph.read(EDGES)}
    naf_scores = {edge_row["i"]: edge_row["naf"] for edge_row in graph.read(EDGES)}
    candidates = [
        image_id
        for image_id in naf_scores
        if all((image_id, stance, cui) in stances for cui in wanted)
        and not any((image_id, "POSITIVE", cui) in stances for cui in without)
    ]
    similarities = cosines(graph, text) if text else {}
    return sorted(
        candidates, key=lambda image_id: (-similarities[image_id] if text else -naf_scores[image_id], image_id)
    )


def test_by_text_the_nearest_images_come_first(searchable_graph: Graph) -> None:
    search_result = _search_images(searchable_graph, "a large finding", top=12)
    expected = _expected_image_ids(searchable_graph, "a large finding")
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


@pytest.mark.parametrize(("wanted", "stance", "without"), CONDITIONS)
@pytest.mark.parametrize("text", ["", "effusion on the left"])
def test_concepts_filter_by_stance(
    searchable_graph: Graph, text: str, wanted: tuple[str, ...], stance: str, without: tuple[str, ...]
) -> None:
    search_result = _search_images(
        searchable_graph, text, concepts=wanted, stance=Stance(stance), without=without, top=IMAGES
    )
    assert ids(search_result) == _expected_image_ids(searchable_graph, text, wanted, stance, without)
    assert bool(search_result.hits) == (wanted != without)


def test_a_text_with_only_without(searchable_graph: Graph) -> None:
    search_result = _search_images(searchable_graph, "effusion", without=["finding C9900003"], top=IMAGES)
    assert ids(search_result) == _expected_image_ids(searchable_graph, "effusion", without=("C9900003",))


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
    ("wanted", "without", "route"),
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
    wanted: list[str],
    without: list[str],
    route: bool,
) -> None:
    graph, vectors, cuis_by_image = large_image_graph
    query_vector = np.eye(WIDTH, dtype=np.float32)[0]
    candidates = [
        image_number
        for image_number, image_cuis in enumerate(cuis_by_image)
        if set(wanted) <= image_cuis and not set(without) & image_cuis
    ]
    nearest = sorted(candidates, key=lambda image_number: -vectors[image_number] @ query_vector)[:10]
    for max_compared, uses_index in ((0, route), (10_000, False)):
        records = graph.read(
            queries.get("search/image_both"),
            vector=query_vector.tolist(),
            model="m",
            wanted=wanted,
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
    search_result = _search_images(searchable_graph, "finding c9900003", by=Part.CONCEPTS, top=IMAGES)
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
    ][: search.NEAR]
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
    search_result = _search_images(graph, "finding c9900003")
    assert search_result.by is Part.CONCEPTS
    assert "no image has an embedding: the text is compared with the names of concepts" in search_result.notes
    assert search_result.hits[0].concepts == ("finding C9900003",)
    filtered = _search_images(graph, "finding c9900003", concepts=["C9900007"], stance=Stance.UNCERTAIN, top=IMAGES)
    stances = {(edge_row["i"], edge_row["r"], edge_row["c"]) for edge_row in graph.read(EDGES)}
    assert filtered.hits
    assert all((image, "UNCERTAIN", "C9900007") in stances for image in ids(filtered))
    with pytest.raises(KgpError, match="no image of the graph has an embedding"):
        _search_images(graph, "finding", by=Part.IMAGES)
    without_indexes(graph)


# Names.


def test_concepts_are_found_by_cui_and_by_name_in_any_case(searchable_graph: Graph) -> None:
    result_by_cui = _search_images(searchable_graph, concepts=["C9900003"])
    assert result_by_cui.hits
    for concept_name in ("finding C9900003", "FINDING c9900003", " c9900003 "):
        assert _search_images(searchable_graph, concepts=[concept_name]).hits == result_by_cui.hits


def test_a_name_may_lack_what_stands_in_brackets_unless_several_do(searchable_graph: Graph) -> None:
    create_query = parse_query(
        "t/b",
        "// One.\n// param cui string: it\nMATCH (i:Image {id: 'I10000001'}) "
        "CREATE (i)-[:POSITIVE]->(:Concept {cui: $cui, name: 'Lung collapse (' + $cui + ')'})",
    )
    searchable_graph.write(create_query, cui="C1111111")
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    assert ids(_search_images(searchable_graph, concepts=["lung COLLAPSE"])) == ["I10000001"]
    searchable_graph.write(create_query, cui="C1111112")
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="2 concepts are named lung collapse"):
        _search_images(searchable_graph, concepts=["lung collapse"])


def test_a_concept_is_found_by_the_platforms_word_for_it(searchable_graph: Graph) -> None:
    """MedMKG has pneumothorax under the name of "free air in the chest outside the lung"."""
    create_query = parse_query(
        "t/o",
        "// One.\nMATCH (i:Image {id: 'I10000001'}) "
        "CREATE (i)-[:POSITIVE]->(:Concept {cui: 'C0032326', name: 'free air in the chest outside the lung'})",
    )
    searchable_graph.write(create_query)
    assert ids(_search_images(searchable_graph, concepts=["Pneumothorax"])) == ["I10000001"]


def test_unknown_and_ambiguous_names_suggest_others(searchable_graph: Graph) -> None:
    with pytest.raises(NotFoundError, match="no concept is named finding") as unknown_error:
        _search_images(searchable_graph, concepts=["finding"])
    assert "finding C99000" in unknown_error.value.hint
    with pytest.raises(NotFoundError, match="no concept is named zebra"):
        _search_images(searchable_graph, without=["zebra"], concepts=["C9900003"])
    searchable_graph.write(
        parse_query("t/d", "// The same name.\nCREATE (:Concept {cui: 'C1111111', name: 'Finding c9900003'})")
    )
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="2 concepts are named finding c9900003") as ambiguous_error:
        _search_images(searchable_graph, concepts=["finding c9900003"])
    assert "C1111111" in ambiguous_error.value.hint
    assert "C9900003" in ambiguous_error.value.hint


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_a_parameter(searchable_graph: Graph, text: str) -> None:
    assert len(_search_images(searchable_graph, text).hits) == 10
    assert len(_search_images(searchable_graph, text, concepts=["C9900003"], without=["C9900001"]).hits) > 0
    with pytest.raises(NotFoundError):
        _search_images(searchable_graph, concepts=[text])


# What may stand in the way.


def test_without_embeddings_it_says_how_to_make_them(graph: Graph, tmp_path: Path) -> None:
    ingest_image_graph(without_indexes(graph), tmp_path / "m")
    with pytest.raises(KgpError, match="no image of the graph has an embedding") as missing_error:
        _search_images(graph, "effusion")
    assert "kgp embed --only images --images DIR" in missing_error.value.hint
    with pytest.raises(KgpError, match="no concept of the graph has an embedding"):
        _search_images(graph, "effusion", by=Part.CONCEPTS)
    search_result = _search_images(graph, concepts=["C9900003"])
    assert search_result.hits
    assert search_result.notes == ("the NaF scores have not been computed, and rank the images: run `kgp naf score`",)


def test_another_model_and_a_missing_or_foreign_index_are_told(searchable_graph: Graph) -> None:
    other_encoder = FakeEncoder("other")
    with pytest.raises(KgpError, match="the images have embeddings of fake-1, not of other-1"):
        _search_images(searchable_graph, "effusion", other_encoder)
    with pytest.raises(KgpError, match="the concepts have embeddings of fake-1, not of other-1"):
        _search_images(searchable_graph, "effusion", other_encoder, by=Part.CONCEPTS)
    searcher = Searcher(searchable_graph, lambda: FAKE)
    expected = ids(searcher.search("effusion"))
    index.drop(searchable_graph, Part.IMAGES)
    for any_searcher in (searcher, Searcher(searchable_graph, lambda: FAKE)):
        with pytest.raises(KgpError, match="the index image_embedding is missing"):
            any_searcher.search("effusion")
    searchable_graph.run_unmanaged(queries.get("embed/index_image"), config={"vector.dimensions": 7})
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    for any_searcher in (searcher, Searcher(searchable_graph, lambda: FAKE)):
        with pytest.raises(KgpError, match="has 7 dimensions and the similarity COSINE, the model's vectors have 32"):
            any_searcher.search("effusion")
    index.ensure(searchable_graph, Part.IMAGES, 32)
    assert ids(searcher.search("effusion")) == expected, "a warm searcher sees that it was mended"


def test_embeddings_replaced_meanwhile_are_never_compared_with_the_wrong_model(
    searchable_graph: Graph, search_image_root: Path
) -> None:
    searcher = Searcher(searchable_graph, lambda: FAKE)
    assert searcher.search("effusion").hits
    embed(searchable_graph, FakeEncoder("other"), images=search_image_root, replace=True)
    for concepts in ((), ("C9900003",)):
        with pytest.raises(KgpError, match="the images have embeddings of other-1, not of fake-1"):
            searcher.search("effusion", concepts=concepts)


def test_an_index_that_is_being_built_is_told(searchable_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    index_state = index.state(searchable_graph, Part.IMAGES)
    building_state = index.EmbeddingState(
        Part.IMAGES,
        index_state.nodes,
        index_state.readable,
        index_state.models,
        index.Index("POPULATING", 41.7, 32, "COSINE"),
    )
    monkeypatch.setattr(index, "state", lambda graph, index_part: building_state)
    with pytest.raises(KgpError, match="still being built, 42 %"):
        _search_images(searchable_graph, "effusion")


def test_a_text_longer_than_the_model_reads_is_told_and_its_end_counts(searchable_graph: Graph) -> None:
    long_text = " ".join(f"word{word_number}" for word_number in range(LONGEST))
    first_result, second_result = (
        _search_images(searchable_graph, f"{long_text} {text_end}")
        for text_end in ("finding left", "finding right lung")
    )
    for search_result in (first_result, second_result):
        [note] = search_result.notes
        assert f"the model reads {LONGEST} at a time" in note
        assert "the first ends with" in note
    assert [hit.similarity for hit in first_result.hits] != [hit.similarity for hit in second_result.hits]


@pytest.mark.parametrize(
    ("text", "expected_note"),
    [
        ("qwertz uiop", f"no word of the text is in a name of the graph's concepts: {NO_MEANING}"),
        ("жидкость", f"no word of the text is in a name of the graph's concepts: {NO_MEANING}"),
        ("♥ ?", f"the text has no words: {NO_MEANING}"),
        ("pleural effuson", "Did you mean Pleural effusion (C0032227)?"),
        ("a large pleural effusion", ""),
        ("effusions", ""),
        ("no pleural effusion", search.NEGATED),
    ],
)
def test_a_text_that_names_nothing_of_the_graph_is_noted(
    searchable_graph: Graph, text: str, expected_note: str
) -> None:
    searchable_graph.write(
        parse_query("t/p", "// One more.\nCREATE (:Concept {cui: 'C0032227', name: 'Pleural effusion'})")
    )
    search_result = _search_images(searchable_graph, text)
    assert search_result.notes == ((expected_note,) if expected_note else ())
    assert search_result.hits, "it is a note: the words may be the model's"


def test_new_images_without_embedding_are_a_note(searchable_graph: Graph) -> None:
    searchable_graph.write(parse_query("t/n", "// Two more.\nCREATE (:Image {id: 'I1'}), (:Image {id: 'I2'})"))
    search_result = _search_images(searchable_graph, "finding")
    assert search_result.notes == ("2 of 32 images have no embedding of this model and are not found by text",)
    assert len(search_result.hits) == 10


def test_nothing_to_search_for_is_a_usage_error(searchable_graph: Graph) -> None:
    for options in ({}, {"without": ["C9900003"]}, {"concepts": ["C9900003"], "by": Part.IMAGES}):
        with pytest.raises(UsageError):
            _search_images(searchable_graph, "  ", **options)
    for query_text, hit_count in (("x" * 10_001, 10), ("x", 0), ("x", 10_001)):
        with pytest.raises(UsageError):
            _search_images(searchable_graph, query_text, top=hit_count)
    with pytest.raises(UsageError, match="a text needs an encoder"):
        Searcher(searchable_graph).search("effusion")


def test_the_encoder_is_opened_once_and_only_for_a_text(searchable_graph: Graph) -> None:
    open_calls: list[int] = []

    def encoder() -> FakeEncoder:
        open_calls.append(1)
        return FAKE

    searcher = Searcher(searchable_graph, encoder)
    searcher.search(concepts=["C9900003"])
    assert open_calls == []
    searcher.search("effusion")
    searcher.search("edema")
    assert open_calls == [1]
    assert EncoderIdentity.of(FAKE).digits == FAKE.sha256[:16]


# The command.


def test_the_command_prints_a_table_and_json(searchable_graph: Graph, fake_search_kgp: Fake) -> None:
    completed = fake_search_kgp(
        "search", "finding on the left", "--concept", "finding c9900003", "--without", "C9900001", "--top", 3
    )
    assert (completed.code, completed.err) == (0, "")
    header_line, _, first_line, *_ = completed.out.splitlines()
    assert header_line.split() == ["rank", "id", "similarity", "naf", "path", "concepts"]
    expected = _expected_image_ids(searchable_graph, "finding on the left", ("C9900003",), without=("C9900001",))
    assert first_line.split()[:2] == ["1", expected[0]]
    document = fake_search_kgp("search", "finding on the left", "--top", 4, "--json").json
    assert document["by"] == "images"
    assert [hit["id"] for hit in document["hits"]] == _expected_image_ids(searchable_graph, "finding on the left")[:4]
    concept_search = fake_search_kgp("search", "finding c9900003", "--by", "concepts", "--top", 2)
    assert concept_search.code == 0, concept_search.err
    assert "finding C9900003 1.000" in concept_search.out
    negative_search = fake_search_kgp("search", "--concept", "C9900003", "--stance", "negative", "--json").json
    assert (negative_search["by"], [hit["similarity"] for hit in negative_search["hits"]][:1]) == (None, [None])


def test_the_command_draws_a_contact_sheet(
    searchable_graph: Graph, fake_search_kgp: Fake, search_image_root: Path, tmp_path: Path
) -> None:
    sheet_path = tmp_path / "found.png"
    arguments = ("search", "effusion", "--top", 7, "--images", search_image_root, "--contact-sheet", sheet_path)
    completed = fake_search_kgp(*arguments)
    assert completed.code == 0, completed.err
    assert f"{sheet_path}: 7 of 7 images" in completed.err
    with Image.open(sheet_path) as sheet_image:
        assert sheet_image.format == "PNG"
        assert sheet_image.width > 5 * 256


def test_wrong_search_input_is_a_single_clear_line(
    searchable_graph: Graph, fake_search_kgp: Fake, tmp_path: Path
) -> None:
    cases: list[tuple[tuple[Any, ...], int, str]] = [
        ((), 2, "there is nothing to search for"),
        (("x", "--stance", "negative"), 2, "--stance is about"),
        (("x", "--contact-sheet", tmp_path / "x.png"), 2, "needs the folder"),
        (("x", "--model", "other"), 1, "have embeddings of fake-1, not of other-1"),
        (("x", "--concept", "zebra"), 1, "no concept is named zebra"),
        (("x", "--images", tmp_path, "--contact-sheet", tmp_path / "x.jpg"), 1, "a contact sheet is a .png"),
        (("x", "--images", tmp_path, "--contact-sheet", tmp_path / "no" / "x.png"), 1, "there is no such folder"),
        (("x", "--images", tmp_path / "no", "--contact-sheet", tmp_path / "x.png"), 1, "there is no such folder"),
        (("x", "--concept", "zebra " * 999), 2, "a concept's name of more than 1,000 characters"),
    ]
    for arguments, exit_code, message in cases:
        completed = fake_search_kgp("search", *arguments)
        assert (completed.code, message in completed.err) == (exit_code, True), (arguments, completed.err)
        assert "Traceback" not in completed.err
        assert len(completed.err.splitlines()) <= 2


@pytest.mark.parametrize("typed", ["pleural effuson", "Plueral effusion", "PLEURAL EFFUSIONS", "pleural-efusion"])
def test_a_concept_with_a_typing_error_is_suggested_with_its_cui(searchable_graph: Graph, typed: str) -> None:
    create_query = parse_query(
        "t/s",
        "// Two.\nUNWIND [['C0032227', 'Pleural effusion'], ['C0032285', 'Pneumonia']] AS row\n"
        "CREATE (:Concept {cui: row[0], name: row[1]})",
    )
    searchable_graph.write(create_query)
    searchable_graph.run_unmanaged(queries.get("ingest/await_indexes"))
    with pytest.raises(NotFoundError, match="no concept is named") as unknown_error:
        _search_images(searchable_graph, concepts=["C9900003"], without=[typed])
    assert unknown_error.value.hint == "Did you mean Pleural effusion (C0032227)?"


def test_other_names_of_the_graph_are_suggested(searchable_graph: Graph, kgp: Kgp) -> None:
    for arguments, suggestion in (
        (("naf", "explain", "I1000001"), "Did you mean I10000001"),
        (("naf", "explain", "10000001"), "Did you mean I10000001"),
        (("construct", "explain", "I1000001", "C9900003"), "Did you mean I10000001"),
        (("export", "csv", "--relation", "postive", "--out", "x"), "Did you mean POSITIVE?"),
        (("export", "csv", "--around", "C990003", "--out", "x"), "Did you mean C9900003"),
        (("query", "explore/figur3"), "Did you mean explore/figure3"),
        (("query", "explore/figure3", "--param", "nmes=[]"), "Did you mean names?"),
    ):
        refused_run = kgp(*arguments)
        assert refused_run.code in (1, 2), arguments
        assert suggestion in refused_run.err, arguments
