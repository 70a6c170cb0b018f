"""Embeddings on a real graph: written, again, in parts, killed; images that cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from kgplatform import runs, trained_on
from kgplatform.digest import digest
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.search import index
from kgplatform.search.index import Part
from kgplatform.search.search import Searcher
from tests.fake_encoder import FakeEncoder
from tests.integration import embedded_graphs
from tests.integration.drawn_images import (
    CONCEPTS,
    IMAGES,
    embedded,
    ingest_image_graph,
    without_indexes,
)
from tests.integration.embedded_graphs import FAKE, NEW_IMAGE, OTHER, Fake, embed_images, everything

pytestmark = pytest.mark.server

embedding_image_root = embedded_graphs.embedding_image_root
unembedded_graph = embedded_graphs.unembedded_graph
fake_embedding_kgp = embedded_graphs.fake_embedding_kgp

RUN = parse_query(
    "t/r",
    "// A run.\n// param run string: it\n"
    "MATCH (r:Run {id: $run}) RETURN r.trained_on AS trained_on, r.warnings AS warnings",
)
ALL_SYNTHETIC = parse_query("t/d", "// All are synthetic.\nMATCH (i:Image) SET i.dataset = 'Phantom'")
PATH = parse_query("t/p", "// A path.\n// param path string: it\nMATCH (i:Image {id: 'I10000003'}) SET i.path = $path")


def test_images_and_names_get_their_vectors_and_an_index_that_is_online(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    digest_before = str(digest(unembedded_graph))
    outcome = embed_images(unembedded_graph, embedding_image_root, batch=7)
    assert (outcome.images.done, outcome.concepts.done, outcome.problems) == (IMAGES, CONCEPTS, [])
    assert outcome.indexed == ["image_embedding", "concept_embedding"]
    vectors_by_key = embedded(unembedded_graph)
    assert len(vectors_by_key) == IMAGES + CONCEPTS
    for image_number in (0, 17, IMAGES - 1):
        vector, model_hash = vectors_by_key[f"I{10_000_000 + image_number}"]
        np.testing.assert_array_equal(
            vector.astype(np.float32),
            FAKE.images([embedding_image_root / "p" / f"{image_number}.png"])[0],
            "32 bits, as they are",
        )
        assert model_hash == FAKE.sha256[:16]
    np.testing.assert_array_equal(
        vectors_by_key["C9900003"][0].astype(np.float32), FAKE.texts(["finding C9900003"])[0].astype(np.float32)
    )
    for index_part in Part:
        vector_index = index.index(unembedded_graph, index_part)
        assert vector_index is not None
        assert (vector_index.state, vector_index.dimensions, vector_index.similarity) == ("ONLINE", 32, "COSINE")
    assert str(digest(unembedded_graph)) == digest_before, "embeddings are not what a source asserts"


def test_the_run_says_what_was_done(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    outcome = embed_images(unembedded_graph, embedding_image_root)
    run_record = runs.show(unembedded_graph, outcome.run)["run"]
    expected = {
        "kind": "embed",
        "source": FAKE.name,
        "model": FAKE.name,
        "sha256": FAKE.sha256,
        "dimension": 32,
        "images": IMAGES,
        "concepts": CONCEPTS,
        "rows_read": IMAGES + CONCEPTS,
        "rows_written": IMAGES + CONCEPTS,
        "rows_rejected": 0,
        "status": "done",
    }
    assert {field: run_record[field] for field in expected} == expected
    assert run_record["started"] <= run_record["finished"]


def test_the_same_call_twice_changes_nothing(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    embed_images(unembedded_graph, embedding_image_root)
    first_state = everything(unembedded_graph)
    counting_encoder = FakeEncoder()
    second_outcome = embed_images(unembedded_graph, embedding_image_root, counting_encoder)
    assert (second_outcome.images.done, second_outcome.images.before, second_outcome.concepts.before) == (
        0,
        IMAGES,
        CONCEPTS,
    )
    assert (counting_encoder.requests, second_outcome.indexed) == ([], [])
    assert everything(unembedded_graph) == first_state


def test_images_and_concepts_one_after_the_other_are_one_run(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    concepts_run = embed_images(unembedded_graph, None, only=Part.CONCEPTS)
    assert (concepts_run.images.done, concepts_run.concepts.done) == (0, CONCEPTS)
    images_run = embed_images(unembedded_graph, embedding_image_root, only=Part.IMAGES)
    assert images_run.run == concepts_run.run
    assert runs.show(unembedded_graph, concepts_run.run)["run"]["rows_written"] == IMAGES + CONCEPTS


def test_images_that_come_later_are_added(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    embed_images(unembedded_graph, embedding_image_root)
    unembedded_graph.write(NEW_IMAGE)
    counting_encoder = FakeEncoder()
    assert embed_images(unembedded_graph, embedding_image_root, counting_encoder).images.done == 1
    assert counting_encoder.requests == [embedding_image_root / "p" / "7.png"]
    np.testing.assert_array_equal(embedded(unembedded_graph)["I7"][0], embedded(unembedded_graph)["I10000007"][0])


def test_killed_in_the_middle_it_goes_on_and_ends_as_the_same(
    unembedded_graph: Graph, embedding_image_root: Path, fake_embedding_kgp: Fake
) -> None:
    arguments = ("embed", "--images", embedding_image_root, "--batch", "4")
    killed_run = fake_embedding_kgp(*arguments, "--model", "dying:4")
    assert killed_run.code == -9
    partial_vectors = embedded(unembedded_graph)
    assert 4 <= len(partial_vectors) <= 12
    [run_record] = [listed_run for listed_run in runs.list_runs(unembedded_graph) if listed_run["kind"] == "embed"]
    assert (run_record["status"], run_record["written"]) == ("running", len(partial_vectors)), (
        "vectors and counts commit together"
    )
    completed = fake_embedding_kgp(*arguments, "--model", "fake", "--json")
    assert completed.code == 0, completed.err
    assert completed.json["images"]["before"] == len(partial_vectors)
    assert completed.json["images"]["done"] == IMAGES - len(partial_vectors)
    resumed_state = everything(unembedded_graph)
    assert resumed_state["runs"][0]["status"] == "done"
    assert resumed_state["runs"][0]["written"] == IMAGES + CONCEPTS
    runs.undo(unembedded_graph, run_record["id"])
    embed_images(unembedded_graph, embedding_image_root)
    assert everything(unembedded_graph)["nodes"] == resumed_state["nodes"]


def test_damaged_missing_and_escaping_images_are_told_and_left_out(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path
) -> None:
    images_root = tmp_path / "root"
    shutil.copytree(embedding_image_root, images_root)
    (images_root / "p" / "0.png").write_bytes(b"\x89PNG bad")
    (images_root / "p" / "1.png").unlink()
    shutil.copy(embedding_image_root / "p" / "2.png", tmp_path / "outside.png")
    (images_root / "p" / "2.png").unlink()
    (images_root / "p" / "2.png").symlink_to(tmp_path / "outside.png")
    unembedded_graph.write(PATH, path=str(tmp_path / "outside.png"))
    outcome = embed_images(unembedded_graph, images_root, batch=5)
    problems = dict(outcome.problems)
    assert problems == {
        "I10000000": "is not a readable radiograph",
        "I10000001": "no file p/1.png",
        "I10000002": "its path points outside the folder",
        "I10000003": "its path points outside the folder",
    }
    assert outcome.images.done == IMAGES - 4
    assert runs.show(unembedded_graph, outcome.run)["run"]["rows_rejected"] == 4
    shutil.copy(embedding_image_root / "p" / "0.png", images_root / "p" / "0.png")
    second_outcome = embed_images(unembedded_graph, images_root)
    assert (second_outcome.images.done, len(second_outcome.problems)) == (1, 3), (
        "what is mended is embedded the next time"
    )


def test_where_no_image_is_there_nothing_is_written(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path
) -> None:
    embed_images(unembedded_graph, embedding_image_root)
    state_before = everything(unembedded_graph)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.txt").write_text("other")
    with pytest.raises(InputError, match=r"none of the 30 images is here; the first, I10000000: no file p/0\.png"):
        embed_images(unembedded_graph, tmp_path / "elsewhere", OTHER, replace=True)
    assert everything(unembedded_graph) == state_before
    with pytest.raises(InputError, match="is not a folder"):
        embed_images(unembedded_graph, tmp_path / "missing", OTHER, replace=True)
    with pytest.raises(UsageError, match="folder of the images is missing"):
        embed_images(unembedded_graph, None, OTHER, replace=True)


def test_all_damaged_exits_1_and_tells_five(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path, fake_embedding_kgp: Fake
) -> None:
    shutil.copytree(embedding_image_root, tmp_path / "root")
    for image_path in (tmp_path / "root" / "p").iterdir():
        image_path.write_bytes(b"bad")
    completed = fake_embedding_kgp("embed", "--images", tmp_path / "root", "--only", "images")
    assert completed.code == 1
    assert f"images: 0 embedded, 0 before, {IMAGES} left out" in completed.out
    assert completed.out.count("is not a readable radiograph") == 5
    assert "and 25 more" in completed.out
    assert "Traceback" not in completed.err


def test_an_empty_folder_and_one_of_other_images_are_errors_after_others_were_embedded(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path, fake_embedding_kgp: Fake
) -> None:
    embed_images(unembedded_graph, embedding_image_root)
    unembedded_graph.run_unmanaged(NEW_IMAGE)
    (tmp_path / "empty").mkdir()
    completed = fake_embedding_kgp("embed", "--images", tmp_path / "empty")
    assert (completed.code, completed.out) == (1, "")
    assert "the folder is empty" in completed.err
    (tmp_path / "empty" / "other.txt").write_text("other")
    completed = fake_embedding_kgp("embed", "--images", tmp_path / "empty")
    assert completed.code == 1
    assert "none of the 1 image without an embedding is here" in completed.err


def test_a_model_of_synthetic_images_warns_of_others(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    encoder = FakeEncoder()
    encoder.trained_on = (trained_on.DataSet("Phantom", True),)
    outcome = embed_images(unembedded_graph, embedding_image_root, encoder)
    [warning] = outcome.warnings
    assert f"{IMAGES} of the {IMAGES} images are not known to be synthetic" in warning
    [run_record] = unembedded_graph.read(RUN, run=outcome.run)
    assert run_record == {"trained_on": ["Phantom"], "warnings": [warning]}
    search_result = Searcher(unembedded_graph, lambda: encoder).search("effusion")
    assert (search_result.warnings, search_result.trained_on) == ((warning,), encoder.trained_on)
    assert Searcher(unembedded_graph).search(concepts=["C9900000"]).warnings == ()
    unembedded_graph.run_unmanaged(ALL_SYNTHETIC)
    assert embed_images(unembedded_graph, embedding_image_root, encoder).warnings == ()
    assert Searcher(unembedded_graph, lambda: encoder).search("effusion").warnings == ()
    assert Searcher(unembedded_graph, lambda: FakeEncoder()).search("effusion").trained_on == trained_on.UNKNOWN


@pytest.mark.parametrize("only", [None, Part.IMAGES])
def test_a_graph_without_paths_and_an_empty_one_are_told(graph: Graph, tmp_path: Path, only: Part | None) -> None:
    with pytest.raises(KgpError, match="the graph has no images"):
        embed_images(without_indexes(graph), tmp_path, only=only)
    ingest_image_graph(graph, tmp_path / "medmkg", paths=False)
    with pytest.raises(KgpError, match="no image of the graph has a path"):
        embed_images(graph, tmp_path, only=only)
    assert embedded(graph) == {}
    assert embed_images(graph, None, only=Part.CONCEPTS).concepts.done == CONCEPTS
    without_indexes(graph)


def test_an_encoder_of_texts_embeds_concepts_and_says_so(
    unembedded_graph: Graph, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = embed_images(unembedded_graph, None, FakeEncoder("words", sees=False))
    assert (outcome.images.done, outcome.concepts.done) == (0, CONCEPTS)
    assert caplog.messages == ["words-1 embeds texts only: images are left out"]
    with pytest.raises(UsageError, match="embeds texts only"):
        embed_images(unembedded_graph, None, FakeEncoder("words", sees=False), only=Part.IMAGES)


def test_the_command_says_what_it_did(
    unembedded_graph: Graph, embedding_image_root: Path, fake_embedding_kgp: Fake
) -> None:
    completed = fake_embedding_kgp("embed", "--images", embedding_image_root)
    assert completed.code == 0, completed.err
    images_line, concepts_line, model_line = completed.out.splitlines()
    assert images_line.startswith(f"images: {IMAGES} embedded, 0 before; ")
    assert concepts_line.startswith(f"concepts: {CONCEPTS} embedded, 0 before; ")
    assert model_line.startswith("fake-1, 32 dimensions, ")
    refused = fake_embedding_kgp("embed", "--images", embedding_image_root, "--model", "other", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (1, "error")


def test_images_and_concepts_stay_readable(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    """`RETURN i` sends neither vectors nor the platform's own notes about them."""
    embed_images(unembedded_graph, embedding_image_root)
    names_query = "// Names.\nMATCH (n:Image|Concept) UNWIND keys(n) AS name RETURN collect(DISTINCT name) AS names"
    [record] = unembedded_graph.read(parse_query("t/n", names_query))
    assert not {"claims", "who_claims", "embedding", "embedding_model"} & {*record["names"]}
