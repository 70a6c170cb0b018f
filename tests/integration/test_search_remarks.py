"""What a search says of a real graph whose embeddings are missing, old or of another model; and the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kgplatform import queries
from kgplatform.errors import KgpError, UsageError
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.search import index, search
from kgplatform.search.embed import embed
from kgplatform.search.index import EncoderIdentity, Part
from kgplatform.search.names import NO_MEANING
from kgplatform.search.search import Searcher
from tests.fake_encoder import LONGEST, FakeEncoder
from tests.integration import embedded_graphs, searchable_graphs
from tests.integration.drawn_images import ingest_image_graph, without_indexes
from tests.integration.embedded_graphs import Fake
from tests.integration.searchable_graphs import FAKE, expected_image_ids, ids, search_images

pytestmark = pytest.mark.server

search_image_root = searchable_graphs.search_image_root
searchable_graph = searchable_graphs.searchable_graph
fake_embedding_kgp = embedded_graphs.fake_embedding_kgp


# What may stand in the way.


def test_without_embeddings_it_says_how_to_make_them(graph: Graph, tmp_path: Path) -> None:
    ingest_image_graph(without_indexes(graph), tmp_path / "m")
    with pytest.raises(KgpError, match="no image of the graph has an embedding") as missing_error:
        search_images(graph, "effusion")
    assert "kgp embed --only images --images DIR" in missing_error.value.hint
    with pytest.raises(KgpError, match="no concept of the graph has an embedding"):
        search_images(graph, "effusion", by=Part.CONCEPTS)
    search_result = search_images(graph, concepts=["C9900003"])
    assert search_result.hits
    assert search_result.notes == (
        "the images are ranked by NaF scores that have not been computed: run `kgp naf score`",
    )


def test_another_model_and_a_missing_or_foreign_index_are_told(searchable_graph: Graph) -> None:
    other_encoder = FakeEncoder("other")
    with pytest.raises(KgpError, match="the images have embeddings of fake-1, not of other-1"):
        search_images(searchable_graph, "effusion", other_encoder)
    with pytest.raises(KgpError, match="the concepts have embeddings of fake-1, not of other-1"):
        search_images(searchable_graph, "effusion", other_encoder, by=Part.CONCEPTS)
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
        search_images(searchable_graph, "effusion")


def test_a_text_longer_than_the_model_reads_is_told_and_its_end_counts(searchable_graph: Graph) -> None:
    long_text = " ".join(f"word{word_number}" for word_number in range(LONGEST))
    first_result, second_result = (
        search_images(searchable_graph, f"{long_text} {text_end}")
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
    search_result = search_images(searchable_graph, text)
    assert search_result.notes == ((expected_note,) if expected_note else ())
    assert search_result.hits, "it is a note: the words may be the model's"


def test_new_images_without_embedding_are_a_note(searchable_graph: Graph) -> None:
    searchable_graph.write(parse_query("t/n", "// Two more.\nCREATE (:Image {id: 'I1'}), (:Image {id: 'I2'})"))
    search_result = search_images(searchable_graph, "finding")
    assert search_result.notes == ("2 of 32 images have no embedding of this model and are not found by text",)
    assert len(search_result.hits) == 10


def test_nothing_to_search_for_is_a_usage_error(searchable_graph: Graph) -> None:
    for options in ({}, {"without": ["C9900003"]}, {"concepts": ["C9900003"], "by": Part.IMAGES}):
        with pytest.raises(UsageError):
            search_images(searchable_graph, "  ", **options)
    for query_text, hit_count in (("x" * 10_001, 10), ("x", 0), ("x", 10_001)):
        with pytest.raises(UsageError):
            search_images(searchable_graph, query_text, top=hit_count)
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
    assert EncoderIdentity.from_encoder(FAKE).digits == FAKE.sha256[:16]


# The command.


def test_the_command_prints_a_table_and_json(searchable_graph: Graph, fake_embedding_kgp: Fake) -> None:
    completed = fake_embedding_kgp(
        "search", "finding on the left", "--concept", "finding c9900003", "--without", "C9900001", "--top", 3
    )
    assert (completed.code, completed.err) == (0, "")
    header_line, _, first_line, *_ = completed.out.splitlines()
    assert header_line.split() == ["rank", "id", "similarity", "naf", "path", "concepts"]
    expected = expected_image_ids(searchable_graph, "finding on the left", ("C9900003",), without=("C9900001",))
    assert first_line.split()[:2] == ["1", expected[0]]
    document = fake_embedding_kgp("search", "finding on the left", "--top", 4, "--json").json
    assert document["by"] == "images"
    assert [hit["id"] for hit in document["hits"]] == expected_image_ids(searchable_graph, "finding on the left")[:4]
    concept_search = fake_embedding_kgp("search", "finding c9900003", "--by", "concepts", "--top", 2)
    assert concept_search.code == 0, concept_search.err
    assert "finding C9900003 1.000" in concept_search.out
    negative_search = fake_embedding_kgp("search", "--concept", "C9900003", "--stance", "negative", "--json").json
    assert (negative_search["by"], [hit["similarity"] for hit in negative_search["hits"]][:1]) == (None, [None])


def test_the_command_draws_a_contact_sheet(
    searchable_graph: Graph, fake_embedding_kgp: Fake, search_image_root: Path, tmp_path: Path
) -> None:
    sheet_path = tmp_path / "found.png"
    arguments = ("search", "effusion", "--top", 7, "--images", search_image_root, "--contact-sheet", sheet_path)
    completed = fake_embedding_kgp(*arguments)
    assert completed.code == 0, completed.err
    assert f"{sheet_path}: 7 of 7 images" in completed.err
    with Image.open(sheet_path) as sheet_image:
        assert sheet_image.format == "PNG"
        assert sheet_image.width > 5 * 256


def test_wrong_search_input_is_a_single_clear_line(
    searchable_graph: Graph, fake_embedding_kgp: Fake, tmp_path: Path
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
        completed = fake_embedding_kgp("search", *arguments)
        assert (completed.code, message in completed.err) == (exit_code, True), (arguments, completed.err)
        assert "Traceback" not in completed.err
        assert len(completed.err.splitlines()) <= 2
