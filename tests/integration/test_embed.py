"""Embeddings on a real graph: written, again, in parts, killed, replaced, undone; images that cannot be read."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform import naf, queries, runs, trained_on
from kgplatform import upgrade as upgrading
from kgplatform.digest import digest
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from kgplatform.search import index
from kgplatform.search import search as searching
from kgplatform.search.embed import EmbeddingOutcome, embed
from kgplatform.search.index import Part
from kgplatform.search.search import Searcher
from kgplatform.settings import Settings
from tests.conftest import CommandResult
from tests.fake_encoder import FakeEncoder
from tests.integration.drawn_images import (
    CONCEPTS,
    IMAGES,
    embedded,
    fake_kgp,
    images_in,
    ingest_image_graph,
    without_indexes,
)
from tests.integration.sources import small_rows, write_medmkg

pytestmark = pytest.mark.server

Fake = Callable[..., CommandResult]
FAKE, OTHER, NARROW = FakeEncoder(), FakeEncoder("other"), FakeEncoder("narrow", width=16)
NEW_IMAGE = parse_query("t/n", "// A new image.\nCREATE (:Image {id: 'I7', path: 'p/7.png'})")
RUN = parse_query(
    "t/r",
    "// A run.\n// param run string: it\n"
    "MATCH (r:Run {id: $run}) RETURN r.trained_on AS trained_on, r.warnings AS warnings",
)
DRAWN = parse_query("t/d", "// All are synthetic.\nMATCH (i:Image) SET i.dataset = 'Phantom'")
PATH = parse_query("t/p", "// A path.\n// param path string: it\nMATCH (i:Image {id: 'I10000003'}) SET i.path = $path")


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


def _embed_images(graph: Graph, root: Path | None, encoder: FakeEncoder = FAKE, **options: Any) -> EmbeddingOutcome:
    return embed(graph, encoder, images=root, **options)


def everything(graph: Graph) -> dict[str, Any]:
    return {
        "nodes": {
            node_key: (vector.tolist(), model_hash) for node_key, (vector, model_hash) in embedded(graph).items()
        },
        "runs": [run_record for run_record in runs.list_runs(graph) if run_record["kind"] == "embed"],
        "indexes": [index.index(graph, index_part) for index_part in Part],
    }


def test_images_and_names_get_their_vectors_and_an_index_that_is_online(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    digest_before = str(digest(unembedded_graph))
    outcome = _embed_images(unembedded_graph, embedding_image_root, batch=7)
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
    outcome = _embed_images(unembedded_graph, embedding_image_root)
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
    _embed_images(unembedded_graph, embedding_image_root)
    first_state = everything(unembedded_graph)
    counting_encoder = FakeEncoder()
    second_outcome = _embed_images(unembedded_graph, embedding_image_root, counting_encoder)
    assert (second_outcome.images.done, second_outcome.images.before, second_outcome.concepts.before) == (
        0,
        IMAGES,
        CONCEPTS,
    )
    assert (counting_encoder.asked, second_outcome.indexed) == ([], [])
    assert everything(unembedded_graph) == first_state


def test_images_and_concepts_one_after_the_other_are_one_run(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    concepts_run = _embed_images(unembedded_graph, None, only=Part.CONCEPTS)
    assert (concepts_run.images.done, concepts_run.concepts.done) == (0, CONCEPTS)
    images_run = _embed_images(unembedded_graph, embedding_image_root, only=Part.IMAGES)
    assert images_run.run == concepts_run.run
    assert runs.show(unembedded_graph, concepts_run.run)["run"]["rows_written"] == IMAGES + CONCEPTS


def test_images_that_come_later_are_added(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    _embed_images(unembedded_graph, embedding_image_root)
    unembedded_graph.write(NEW_IMAGE)
    counting_encoder = FakeEncoder()
    assert _embed_images(unembedded_graph, embedding_image_root, counting_encoder).images.done == 1
    assert counting_encoder.asked == [embedding_image_root / "p" / "7.png"]
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
    _embed_images(unembedded_graph, embedding_image_root)
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
    outcome = _embed_images(unembedded_graph, images_root, batch=5)
    problems = dict(outcome.problems)
    assert problems == {
        "I10000000": "is no readable radiograph",
        "I10000001": "no file p/1.png",
        "I10000002": "its path leads out of the folder",
        "I10000003": "its path leads out of the folder",
    }
    assert outcome.images.done == IMAGES - 4
    assert runs.show(unembedded_graph, outcome.run)["run"]["rows_rejected"] == 4
    shutil.copy(embedding_image_root / "p" / "0.png", images_root / "p" / "0.png")
    second_outcome = _embed_images(unembedded_graph, images_root)
    assert (second_outcome.images.done, len(second_outcome.problems)) == (1, 3), (
        "what is mended is embedded the next time"
    )


def test_where_no_image_is_there_nothing_is_written(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path
) -> None:
    _embed_images(unembedded_graph, embedding_image_root)
    state_before = everything(unembedded_graph)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.txt").write_text("other")
    with pytest.raises(InputError, match=r"none of the 30 images is here; the first, I10000000: no file p/0\.png"):
        _embed_images(unembedded_graph, tmp_path / "elsewhere", OTHER, replace=True)
    assert everything(unembedded_graph) == state_before
    with pytest.raises(InputError, match="is no folder"):
        _embed_images(unembedded_graph, tmp_path / "missing", OTHER, replace=True)
    with pytest.raises(UsageError, match="folder of the images is missing"):
        _embed_images(unembedded_graph, None, OTHER, replace=True)


def test_all_damaged_exits_1_and_tells_five(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path, fake_embedding_kgp: Fake
) -> None:
    shutil.copytree(embedding_image_root, tmp_path / "root")
    for image_path in (tmp_path / "root" / "p").iterdir():
        image_path.write_bytes(b"bad")
    completed = fake_embedding_kgp("embed", "--images", tmp_path / "root", "--only", "images")
    assert completed.code == 1
    assert f"images: 0 embedded, 0 before, {IMAGES} left out" in completed.out
    assert completed.out.count("is no readable radiograph") == 5
    assert "and 25 more" in completed.out
    assert "Traceback" not in completed.err


def test_an_empty_folder_and_one_of_other_images_are_errors_after_others_were_embedded(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path, fake_embedding_kgp: Fake
) -> None:
    _embed_images(unembedded_graph, embedding_image_root)
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
    encoder.trained_on = trained_on.of_names(["Phantom"])
    outcome = _embed_images(unembedded_graph, embedding_image_root, encoder)
    [warning] = outcome.warnings
    assert f"{IMAGES} of the {IMAGES} images are not known to be synthetic" in warning
    [run_record] = unembedded_graph.read(RUN, run=outcome.run)
    assert run_record == {"trained_on": ["Phantom"], "warnings": [warning]}
    search_result = Searcher(unembedded_graph, lambda: encoder).search("effusion")
    assert (search_result.warnings, search_result.trained_on) == ((warning,), encoder.trained_on)
    assert Searcher(unembedded_graph).search(concepts=["C9900000"]).warnings == ()
    unembedded_graph.run_unmanaged(DRAWN)
    assert _embed_images(unembedded_graph, embedding_image_root, encoder).warnings == ()
    assert Searcher(unembedded_graph, lambda: encoder).search("effusion").warnings == ()
    assert Searcher(unembedded_graph, lambda: FakeEncoder()).search("effusion").trained_on == trained_on.UNKNOWN


@pytest.mark.parametrize("only", [None, Part.IMAGES])
def test_a_graph_without_paths_and_an_empty_one_are_told(graph: Graph, tmp_path: Path, only: Part | None) -> None:
    with pytest.raises(KgpError, match="the graph has no images"):
        _embed_images(without_indexes(graph), tmp_path, only=only)
    ingest_image_graph(graph, tmp_path / "medmkg", paths=False)
    with pytest.raises(KgpError, match="no image of the graph has a path"):
        _embed_images(graph, tmp_path, only=only)
    assert embedded(graph) == {}
    assert _embed_images(graph, None, only=Part.CONCEPTS).concepts.done == CONCEPTS
    without_indexes(graph)


def test_an_encoder_of_texts_embeds_concepts_and_says_so(unembedded_graph: Graph) -> None:
    messages: list[str] = []
    outcome = _embed_images(unembedded_graph, None, FakeEncoder("words", sees=False), log=messages.append)
    assert (outcome.images.done, outcome.concepts.done) == (0, CONCEPTS)
    assert messages == ["words-1 embeds texts only: images are left out"]
    with pytest.raises(UsageError, match="embeds texts only"):
        _embed_images(unembedded_graph, None, FakeEncoder("words", sees=False), only=Part.IMAGES)


def test_another_models_embeddings_are_refused_then_replaced(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    old_outcome = _embed_images(unembedded_graph, embedding_image_root)
    state_before = everything(unembedded_graph)
    with pytest.raises(KgpError, match="the images have embeddings of fake-1, not of narrow-1") as refused:
        _embed_images(unembedded_graph, embedding_image_root, NARROW)
    assert "--replace" in refused.value.hint
    assert everything(unembedded_graph) == state_before
    new_outcome = _embed_images(unembedded_graph, embedding_image_root, NARROW, replace=True)
    assert (new_outcome.replaced, new_outcome.images.done, new_outcome.concepts.done) == (
        IMAGES + CONCEPTS,
        IMAGES,
        CONCEPTS,
    )
    vectors_by_key = embedded(unembedded_graph)
    assert {model_hash for _, model_hash in vectors_by_key.values()} == {NARROW.sha256[:16]}
    assert {len(vector) for vector, _ in vectors_by_key.values()} == {16}
    image_index = index.index(unembedded_graph, Part.IMAGES)
    assert image_index is not None
    assert (image_index.state, image_index.dimensions) == ("ONLINE", 16)
    assert runs.show(unembedded_graph, old_outcome.run)["run"]["status"] == "undone"
    repeated = _embed_images(unembedded_graph, embedding_image_root, NARROW, replace=True)
    assert (repeated.replaced, repeated.images.done, repeated.indexed) == (0, 0, [])


def test_one_part_is_replaced_without_the_other(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    old_outcome = _embed_images(unembedded_graph, embedding_image_root)
    _embed_images(unembedded_graph, None, FakeEncoder("words", sees=False), replace=True)
    models_by_kind = {node_key[0]: model_hash for node_key, (_, model_hash) in embedded(unembedded_graph).items()}
    assert models_by_kind == {"I": FAKE.sha256[:16], "C": FakeEncoder("words").sha256[:16]}
    assert runs.show(unembedded_graph, old_outcome.run)["run"]["status"] == "done", "its images are still there"


@pytest.mark.parametrize("batches", [0, 3])
def test_a_replacement_that_is_killed_goes_on(
    unembedded_graph: Graph, embedding_image_root: Path, fake_embedding_kgp: Fake, batches: int
) -> None:
    _embed_images(unembedded_graph, embedding_image_root)
    arguments = ("embed", "--images", embedding_image_root, "--batch", "4", "--replace")
    assert fake_embedding_kgp(*arguments, "--model", f"dyingnarrow:{batches}").code == -9
    assert len(embedded(unembedded_graph)) == min(batches, 1) * 4 * (batches - 1), (
        "one batch is encoded while one is written"
    )
    completed = fake_embedding_kgp(*arguments, "--model", "narrow", "--json")
    assert completed.code == 0, completed.err
    vectors_by_key = embedded(unembedded_graph)
    assert len(vectors_by_key) == IMAGES + CONCEPTS
    assert {model_hash for _, model_hash in vectors_by_key.values()} == {NARROW.sha256[:16]}
    run_record = runs.show(unembedded_graph, completed.json["run"])["run"]
    assert (run_record["status"], run_record["rows_written"]) == ("done", IMAGES + CONCEPTS)


def test_embeddings_that_are_not_ours_are_refused_and_replaced(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    unembedded_graph.write(
        parse_query("t/f", "// A foreign one.\nCREATE (:ImageVector {id: 'I10000004', embedding: [1.0, 2.0]})")
    )
    with pytest.raises(KgpError, match="embeddings of an unknown model"):
        _embed_images(unembedded_graph, embedding_image_root)
    assert _embed_images(unembedded_graph, embedding_image_root, replace=True).replaced == 1
    assert len(embedded(unembedded_graph)) == IMAGES + CONCEPTS


def test_undo_takes_the_embeddings_out_and_leaves_the_scores_current(
    unembedded_graph: Graph, embedding_image_root: Path, fake_embedding_kgp: Fake
) -> None:
    naf.score(unembedded_graph)
    outcome = _embed_images(unembedded_graph, embedding_image_root)
    undone = fake_embedding_kgp("runs", "undo", outcome.run)
    assert undone.out == f"{outcome.run}: the embeddings of {IMAGES + CONCEPTS} nodes taken out\n"
    assert undone.err == f"{outcome.run}: the embeddings of {IMAGES + CONCEPTS} nodes would go\n"
    assert embedded(unembedded_graph) == {}
    assert unembedded_graph.read(queries.get("naf/state"))[0]["current"]
    assert runs.show(unembedded_graph, outcome.run)["run"]["status"] == "undone"
    assert _embed_images(unembedded_graph, embedding_image_root).images.done == IMAGES
    assert runs.show(unembedded_graph, outcome.run)["run"]["rows_written"] == IMAGES + CONCEPTS


def test_an_undo_that_was_killed_is_finished_first(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    outcome = _embed_images(unembedded_graph, embedding_image_root)
    unembedded_graph.write(queries.get("runs/undo_begin"), run=outcome.run)
    unembedded_graph.write(NEW_IMAGE)
    with pytest.raises(KgpError, match="half undone"):
        _embed_images(unembedded_graph, embedding_image_root)
    runs.undo(unembedded_graph, outcome.run)
    assert _embed_images(unembedded_graph, embedding_image_root).images.done == IMAGES + 1


def test_a_lost_or_foreign_index_is_made_again(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    _embed_images(unembedded_graph, embedding_image_root)
    index.drop(unembedded_graph, Part.IMAGES)
    assert _embed_images(unembedded_graph, embedding_image_root).indexed == ["image_embedding"]
    index.drop(unembedded_graph, Part.CONCEPTS)
    unembedded_graph.run_unmanaged(queries.get("embed/index_concept"), config={"vector.dimensions": 7})
    assert _embed_images(unembedded_graph, embedding_image_root).indexed == ["concept_embedding"]
    loaded_index = index.index(unembedded_graph, Part.CONCEPTS)
    assert loaded_index is not None
    assert loaded_index.dimensions == 32


def test_vectors_that_an_index_cannot_take_stop_it(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    class Broken(FakeEncoder):
        def images(self, paths: Any) -> Any:
            return super().images(paths) * np.float32("nan")

    with pytest.raises(KgpError, match="not finite or is zero"):
        _embed_images(unembedded_graph, embedding_image_root, Broken())
    assert embedded(unembedded_graph) == {}


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
    _embed_images(unembedded_graph, embedding_image_root)
    names_query = "// Names.\nMATCH (n:Image|Concept) UNWIND keys(n) AS name RETURN collect(DISTINCT name) AS names"
    [record] = unembedded_graph.read(parse_query("t/n", names_query))
    assert not {"claims", "who_claims", "embedding", "embedding_model"} & {*record["names"]}


def as_an_earlier_version_wrote_it(loaded: Graph) -> None:
    """Embeddings, their indexes and claims as they were."""
    for node_label, key_property in (("Image", "id"), ("Concept", "cui")):
        index_name = f"{node_label.lower()}_embedding"
        loaded.run_unmanaged(parse_query("t/d", f"// Drop.\nDROP INDEX {index_name}"))
        old_clause = f"MATCH (v:{node_label}Vector) MATCH (n:{node_label} {{{key_property}: v.{key_property}}})\n"
        old_clause += "SET n.embedding = v.embedding, n.embedding_model = v.embedding_model DETACH DELETE v"
        loaded.write(parse_query("t/o", f"// As an earlier version wrote it.\n{old_clause}"))
        options = "OPTIONS {indexConfig: {`vector.dimensions`: 8, `vector.similarity_function`: 'cosine'}}"
        create_clause = f"CREATE VECTOR INDEX {index_name} FOR (n:{node_label}) ON (n.embedding) {options}"
        loaded.run_unmanaged(parse_query("t/i", f"// The index then.\n{create_clause}"))
    for pattern in ("(n)", "()-[n]->()"):
        claims_clause = (
            f"MATCH {pattern} WHERE n.who_claims IS NOT NULL SET n.claims = n.who_claims REMOVE n.who_claims"
        )
        loaded.write(parse_query("t/c", f"// Claims under their former name.\n{claims_clause}"))
    loaded.write(parse_query("t/l", "// Its layout.\nMATCH (p:Platform) SET p.layout = 2"))


def assert_same_vectors(graph: Graph, before: dict[str, tuple[Any, str]]) -> None:
    vectors_after = embedded(graph)
    assert vectors_after.keys() == before.keys()
    for node_key, (vector, model_hash) in before.items():
        np.testing.assert_array_equal(vectors_after[node_key][0], vector)
        assert vectors_after[node_key][1] == model_hash


def test_an_undo_takes_out_the_embeddings_of_an_earlier_version(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    outcome = _embed_images(unembedded_graph, embedding_image_root)
    as_an_earlier_version_wrote_it(unembedded_graph)
    assert runs.preview(unembedded_graph, outcome.run).embeddings == IMAGES + CONCEPTS
    assert runs.undo(unembedded_graph, outcome.run).embeddings == IMAGES + CONCEPTS
    assert embedded(unembedded_graph) == {}


def test_a_load_moves_the_embeddings_of_an_earlier_version_and_makes_their_indexes(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path
) -> None:
    _embed_images(unembedded_graph, embedding_image_root)
    vectors_before = embedded(unembedded_graph)
    as_an_earlier_version_wrote_it(unembedded_graph)
    with pytest.raises(KgpError, match="an earlier version wrote the graph") as refused:
        Searcher(unembedded_graph, lambda: FAKE).search("effusion")
    assert "kgp embed" in refused.value.hint
    ingest_image_graph(unembedded_graph, tmp_path / "medmkg")
    assert not any(index.ensure(unembedded_graph, index_part, FAKE.width) for index_part in Part), "they are there"
    assert_same_vectors(unembedded_graph, vectors_before)
    assert len(Searcher(unembedded_graph, lambda: FAKE).search("effusion").hits) == 10


def test_embeddings_of_an_earlier_version_are_not_computed_anew(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    _embed_images(unembedded_graph, embedding_image_root)
    vectors_before = embedded(unembedded_graph)
    as_an_earlier_version_wrote_it(unembedded_graph)
    outcome = _embed_images(unembedded_graph, None)  # no folder: no image is left
    assert (outcome.images.done, outcome.images.before, outcome.concepts.done) == (0, IMAGES, 0)
    assert_same_vectors(unembedded_graph, vectors_before)
    unembedded_graph.write(NEW_IMAGE)
    with pytest.raises(UsageError, match="folder of the images is missing"):
        _embed_images(unembedded_graph, None)


def test_an_upgrade_that_was_killed_anywhere_is_finished_by_the_next(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(
        unembedded_graph, MedMKG.find(write_medmkg(tmp_path / "more", small_rows(5, 5)))
    )  # claims differ: it has no paths
    _embed_images(unembedded_graph, embedding_image_root)
    vectors_before, digest_before = embedded(unembedded_graph), str(digest(unembedded_graph))
    monkeypatch.setattr(upgrading, "VECTORS_AT_A_TIME", 25)
    for statement_count in range(20):
        as_an_earlier_version_wrote_it(unembedded_graph)
        with monkeypatch.context() as patched:
            was_killed = dies_after(patched, statement_count)
            with contextlib.suppress(_SimulatedKill):
                upgrading.upgrade(unembedded_graph)
        upgrading.upgrade(unembedded_graph)
        assert_same_vectors(unembedded_graph, vectors_before)
        assert str(digest(unembedded_graph)) == digest_before
        assert all(index.fits(index.index(unembedded_graph, index_part), FAKE.width) for index_part in Part)
        if not was_killed:
            break
    assert statement_count > 7, "nodes, two indexes, two batches of vectors, two indexes, and the layout"


class _SimulatedKill(Exception):
    """The process, from outside."""


def dies_after(patched: pytest.MonkeyPatch, statements: int) -> list[None]:
    """Let a statement that writes be the last after so many others; returns a list that is filled when that is so."""
    deaths: list[None] = []
    statements_left = [statements]

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **keyword_arguments: Any) -> Any:
            if not statements_left[0]:
                deaths.append(None)
                raise _SimulatedKill
            statements_left[0] -= 1
            return method(*arguments, **keyword_arguments)

        return counting

    for method_name in ("transact", "run_unmanaged"):
        patched.setattr(Graph, method_name, counted(getattr(Graph, method_name)))
    return deaths


def test_an_undo_deletes_vectors_with_their_images_and_says_so_before(
    unembedded_graph: Graph, embedding_image_root: Path, fake_embedding_kgp: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _embed_images(unembedded_graph, embedding_image_root)
    [source_run] = [
        listed_run["id"] for listed_run in runs.list_runs(unembedded_graph) if listed_run["kind"] == "medmkg"
    ]
    preview = runs.preview(unembedded_graph, source_run)
    with monkeypatch.context() as patched:
        original_method = Graph.run_unmanaged

        def killed(graph: Graph, query: queries.Query, **parameters: Any) -> Any:
            if query.name == "runs/undo_labels":
                raise _SimulatedKill
            return original_method(graph, query, **parameters)

        patched.setattr(Graph, "run_unmanaged", killed)
        with pytest.raises(_SimulatedKill):
            runs.undo(unembedded_graph, source_run)
    assert embedded(unembedded_graph) == {}, "vectors go with their nodes"
    assert (preview.nodes, preview.embeddings) == (IMAGES + CONCEPTS, IMAGES + CONCEPTS)
    completed = fake_embedding_kgp("runs", "undo", source_run)
    assert f"{source_run}: 0 edges and 0 nodes would go" in completed.err
    run_record = runs.show(unembedded_graph, outcome.run)["run"]
    assert [run_record[count_name] for count_name in ("images", "concepts", "rows_written", "rows_read")] == [
        0,
        0,
        0,
        0,
    ]


def test_vectors_of_images_that_somebody_deleted_are_skipped_then_deleted(
    unembedded_graph: Graph, embedding_image_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _embed_images(unembedded_graph, embedding_image_root)
    searcher = Searcher(unembedded_graph, lambda: FAKE)
    deleted_ids = [hit.id for hit in searcher.search("effusion", top=18).hits]
    delete_query = "// By hand.\n// param ids list: images\nMATCH (i:Image) WHERE i.id IN $ids DETACH DELETE i"
    unembedded_graph.write(parse_query("t/g", delete_query), ids=deleted_ids)
    monkeypatch.setattr(searching, "ASKED", 10)
    remaining_ids = {hit.id for hit in searcher.search("effusion", top=10).hits}
    assert len(remaining_ids) == 10
    assert not remaining_ids & {*deleted_ids}
    _embed_images(unembedded_graph, embedding_image_root)
    assert len(embedded(unembedded_graph)) == IMAGES - 18 + CONCEPTS
    assert runs.show(unembedded_graph, outcome.run)["run"]["images"] == IMAGES - 18
