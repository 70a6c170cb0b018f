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
from kgplatform.queries import parse
from kgplatform.retrieval import index
from kgplatform.retrieval import search as searching
from kgplatform.retrieval.embed import Outcome, embed
from kgplatform.retrieval.index import Part
from kgplatform.retrieval.search import Searcher
from kgplatform.settings import Settings
from tests.conftest import Ran
from tests.fake_encoder import FakeEncoder
from tests.integration.drawn_images import (
    CONCEPTS,
    IMAGES,
    embedded,
    fake_kgp,
    images_in,
    load,
    without_indexes,
)
from tests.integration.sources import small_rows, write_medmkg

pytestmark = pytest.mark.server

Fake = Callable[..., Ran]
FAKE, OTHER, NARROW = FakeEncoder(), FakeEncoder("other"), FakeEncoder("narrow", width=16)
NEW_IMAGE = parse("t/n", "// A new image.\nCREATE (:Image {id: 'I7', path: 'p/7.png'})")
RUN = parse(
    "t/r",
    "// A run.\n// param run string: it\n"
    "MATCH (r:Run {id: $run}) RETURN r.trained_on AS trained_on, r.warnings AS warnings",
)
DRAWN = parse("t/d", "// All are synthetic.\nMATCH (i:Image) SET i.dataset = 'Phantom'")
PATH = parse("t/p", "// A path.\n// param path string: it\nMATCH (i:Image {id: 'I10000003'}) SET i.path = $path")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images_in(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def loaded(graph: Graph, tmp_path: Path) -> Iterator[Graph]:
    load(without_indexes(graph), tmp_path / "medmkg")
    yield graph
    without_indexes(graph)


@pytest.fixture
def fake(settings: Settings) -> Fake:
    return lambda *arguments: fake_kgp(settings.home, *arguments)


def run(graph: Graph, root: Path | None, encoder: FakeEncoder = FAKE, **options: Any) -> Outcome:
    return embed(graph, encoder, images=root, **options)


def everything(graph: Graph) -> dict[str, Any]:
    return {
        "nodes": {key: (vector.tolist(), model) for key, (vector, model) in embedded(graph).items()},
        "runs": [row for row in runs.list_runs(graph) if row["kind"] == "embed"],
        "indexes": [index.index(graph, part) for part in Part],
    }


def test_images_and_names_get_their_vectors_and_an_index_that_is_online(loaded: Graph, drawn: Path) -> None:
    before = str(digest(loaded))
    outcome = run(loaded, drawn, batch=7)
    assert (outcome.images.done, outcome.concepts.done, outcome.problems) == (IMAGES, CONCEPTS, [])
    assert outcome.indexed == ["image_embedding", "concept_embedding"]
    found = embedded(loaded)
    assert len(found) == IMAGES + CONCEPTS
    for number in (0, 17, IMAGES - 1):
        vector, model = found[f"I{10_000_000 + number}"]
        np.testing.assert_array_equal(
            vector.astype(np.float32), FAKE.images([drawn / "p" / f"{number}.png"])[0], "32 bits, as they are"
        )
        assert model == FAKE.sha256[:16]
    np.testing.assert_array_equal(
        found["C9900003"][0].astype(np.float32), FAKE.texts(["finding C9900003"])[0].astype(np.float32)
    )
    for part in Part:
        made = index.index(loaded, part)
        assert made is not None
        assert (made.state, made.dimensions, made.similarity) == ("ONLINE", 32, "COSINE")
    assert str(digest(loaded)) == before, "embeddings are not what a source asserts"


def test_the_run_says_what_was_done(loaded: Graph, drawn: Path) -> None:
    outcome = run(loaded, drawn)
    record = runs.show(loaded, outcome.run)["run"]
    wanted = {
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
    assert {key: record[key] for key in wanted} == wanted
    assert record["started"] <= record["finished"]


def test_the_same_call_twice_changes_nothing(loaded: Graph, drawn: Path) -> None:
    run(loaded, drawn)
    once = everything(loaded)
    asking = FakeEncoder()
    again = run(loaded, drawn, asking)
    assert (again.images.done, again.images.before, again.concepts.before) == (0, IMAGES, CONCEPTS)
    assert (asking.asked, again.indexed) == ([], [])
    assert everything(loaded) == once


def test_images_and_concepts_one_after_the_other_are_one_run(loaded: Graph, drawn: Path) -> None:
    first = run(loaded, None, only=Part.CONCEPTS)
    assert (first.images.done, first.concepts.done) == (0, CONCEPTS)
    second = run(loaded, drawn, only=Part.IMAGES)
    assert second.run == first.run
    assert runs.show(loaded, first.run)["run"]["rows_written"] == IMAGES + CONCEPTS


def test_images_that_come_later_are_added(loaded: Graph, drawn: Path) -> None:
    run(loaded, drawn)
    loaded.write(NEW_IMAGE)
    asking = FakeEncoder()
    assert run(loaded, drawn, asking).images.done == 1
    assert asking.asked == [drawn / "p" / "7.png"]
    np.testing.assert_array_equal(embedded(loaded)["I7"][0], embedded(loaded)["I10000007"][0])


def test_killed_in_the_middle_it_goes_on_and_ends_as_the_same(loaded: Graph, drawn: Path, fake: Fake) -> None:
    arguments = ("embed", "--images", drawn, "--batch", "4")
    killed = fake(*arguments, "--model", "dying:4")
    assert killed.code == -9
    there = embedded(loaded)
    assert 4 <= len(there) <= 12
    [record] = [row for row in runs.list_runs(loaded) if row["kind"] == "embed"]
    assert (record["status"], record["written"]) == ("running", len(there)), "vectors and counts commit together"
    done = fake(*arguments, "--model", "fake", "--json")
    assert done.code == 0, done.err
    assert done.json["images"]["before"] == len(there)
    assert done.json["images"]["done"] == IMAGES - len(there)
    killed_and_resumed = everything(loaded)
    assert killed_and_resumed["runs"][0]["status"] == "done"
    assert killed_and_resumed["runs"][0]["written"] == IMAGES + CONCEPTS
    runs.undo(loaded, record["id"])
    run(loaded, drawn)
    assert everything(loaded)["nodes"] == killed_and_resumed["nodes"]


def test_damaged_missing_and_escaping_images_are_told_and_left_out(loaded: Graph, drawn: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(drawn, root)
    (root / "p" / "0.png").write_bytes(b"\x89PNG bad")
    (root / "p" / "1.png").unlink()
    shutil.copy(drawn / "p" / "2.png", tmp_path / "outside.png")
    (root / "p" / "2.png").unlink()
    (root / "p" / "2.png").symlink_to(tmp_path / "outside.png")
    loaded.write(PATH, path=str(tmp_path / "outside.png"))
    outcome = run(loaded, root, batch=5)
    problems = dict(outcome.problems)
    assert problems == {
        "I10000000": "is no readable radiograph",
        "I10000001": "no file p/1.png",
        "I10000002": "its path leads out of the folder",
        "I10000003": "its path leads out of the folder",
    }
    assert outcome.images.done == IMAGES - 4
    assert runs.show(loaded, outcome.run)["run"]["rows_rejected"] == 4
    shutil.copy(drawn / "p" / "0.png", root / "p" / "0.png")
    again = run(loaded, root)
    assert (again.images.done, len(again.problems)) == (1, 3), "what is mended is embedded the next time"


def test_where_no_image_is_there_nothing_is_written(loaded: Graph, drawn: Path, tmp_path: Path) -> None:
    run(loaded, drawn)
    before = everything(loaded)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.txt").write_text("other")
    with pytest.raises(InputError, match=r"none of the 30 images is here; the first, I10000000: no file p/0\.png"):
        run(loaded, tmp_path / "elsewhere", OTHER, replace=True)
    assert everything(loaded) == before
    with pytest.raises(InputError, match="is no folder"):
        run(loaded, tmp_path / "missing", OTHER, replace=True)
    with pytest.raises(UsageError, match="folder of the images is missing"):
        run(loaded, None, OTHER, replace=True)


def test_all_damaged_exits_1_and_tells_five(loaded: Graph, drawn: Path, tmp_path: Path, fake: Fake) -> None:
    shutil.copytree(drawn, tmp_path / "root")
    for path in (tmp_path / "root" / "p").iterdir():
        path.write_bytes(b"bad")
    done = fake("embed", "--images", tmp_path / "root", "--only", "images")
    assert done.code == 1
    assert f"images: 0 embedded, 0 before, {IMAGES} left out" in done.out
    assert done.out.count("is no readable radiograph") == 5
    assert "and 25 more" in done.out
    assert "Traceback" not in done.err


def test_an_empty_folder_and_one_of_other_images_are_errors_after_others_were_embedded(
    loaded: Graph, drawn: Path, tmp_path: Path, fake: Fake
) -> None:
    run(loaded, drawn)
    loaded.run_unmanaged(NEW_IMAGE)
    (tmp_path / "empty").mkdir()
    done = fake("embed", "--images", tmp_path / "empty")
    assert (done.code, done.out) == (1, "")
    assert "the folder is empty" in done.err
    (tmp_path / "empty" / "other.txt").write_text("other")
    done = fake("embed", "--images", tmp_path / "empty")
    assert done.code == 1
    assert "none of the 1 image without an embedding is here" in done.err


def test_a_model_of_synthetic_images_warns_of_others(loaded: Graph, drawn: Path) -> None:
    encoder = FakeEncoder()
    encoder.trained_on = trained_on.of_names(["Phantom"])
    outcome = run(loaded, drawn, encoder)
    [warning] = outcome.warnings
    assert f"{IMAGES} of the {IMAGES} images are not known to be synthetic" in warning
    [noted] = loaded.read(RUN, run=outcome.run)
    assert noted == {"trained_on": ["Phantom"], "warnings": [warning]}
    found = Searcher(loaded, lambda: encoder).search("effusion")
    assert (found.warnings, found.trained_on) == ((warning,), encoder.trained_on)
    assert Searcher(loaded).search(concepts=["C9900000"]).warnings == ()
    loaded.run_unmanaged(DRAWN)
    assert run(loaded, drawn, encoder).warnings == ()
    assert Searcher(loaded, lambda: encoder).search("effusion").warnings == ()
    assert Searcher(loaded, lambda: FakeEncoder()).search("effusion").trained_on == trained_on.UNKNOWN


@pytest.mark.parametrize("only", [None, Part.IMAGES])
def test_a_graph_without_paths_and_an_empty_one_are_told(graph: Graph, tmp_path: Path, only: Part | None) -> None:
    with pytest.raises(KgpError, match="the graph has no images"):
        run(without_indexes(graph), tmp_path, only=only)
    load(graph, tmp_path / "medmkg", paths=False)
    with pytest.raises(KgpError, match="no image of the graph has a path"):
        run(graph, tmp_path, only=only)
    assert embedded(graph) == {}
    assert run(graph, None, only=Part.CONCEPTS).concepts.done == CONCEPTS
    without_indexes(graph)


def test_an_encoder_of_texts_embeds_concepts_and_says_so(loaded: Graph) -> None:
    told: list[str] = []
    outcome = run(loaded, None, FakeEncoder("words", sees=False), told=told.append)
    assert (outcome.images.done, outcome.concepts.done) == (0, CONCEPTS)
    assert told == ["words-1 embeds texts only: images are left out"]
    with pytest.raises(UsageError, match="embeds texts only"):
        run(loaded, None, FakeEncoder("words", sees=False), only=Part.IMAGES)


def test_another_models_embeddings_are_refused_then_replaced(loaded: Graph, drawn: Path) -> None:
    old = run(loaded, drawn)
    before = everything(loaded)
    with pytest.raises(KgpError, match="the images have embeddings of fake-1, not of narrow-1") as refused:
        run(loaded, drawn, NARROW)
    assert "--replace" in refused.value.hint
    assert everything(loaded) == before
    new = run(loaded, drawn, NARROW, replace=True)
    assert (new.replaced, new.images.done, new.concepts.done) == (IMAGES + CONCEPTS, IMAGES, CONCEPTS)
    found = embedded(loaded)
    assert {model for _, model in found.values()} == {NARROW.sha256[:16]}
    assert {len(vector) for vector, _ in found.values()} == {16}
    made = index.index(loaded, Part.IMAGES)
    assert made is not None
    assert (made.state, made.dimensions) == ("ONLINE", 16)
    assert runs.show(loaded, old.run)["run"]["status"] == "undone"
    again = run(loaded, drawn, NARROW, replace=True)
    assert (again.replaced, again.images.done, again.indexed) == (0, 0, [])


def test_one_part_is_replaced_without_the_other(loaded: Graph, drawn: Path) -> None:
    old = run(loaded, drawn)
    run(loaded, None, FakeEncoder("words", sees=False), replace=True)
    models = {key[0]: model for key, (_, model) in embedded(loaded).items()}
    assert models == {"I": FAKE.sha256[:16], "C": FakeEncoder("words").sha256[:16]}
    assert runs.show(loaded, old.run)["run"]["status"] == "done", "its images are still there"


@pytest.mark.parametrize("batches", [0, 3])
def test_a_replacement_that_is_killed_goes_on(loaded: Graph, drawn: Path, fake: Fake, batches: int) -> None:
    run(loaded, drawn)
    arguments = ("embed", "--images", drawn, "--batch", "4", "--replace")
    assert fake(*arguments, "--model", f"dyingnarrow:{batches}").code == -9
    assert len(embedded(loaded)) == min(batches, 1) * 4 * (batches - 1), "one batch is encoded while one is written"
    done = fake(*arguments, "--model", "narrow", "--json")
    assert done.code == 0, done.err
    found = embedded(loaded)
    assert len(found) == IMAGES + CONCEPTS
    assert {model for _, model in found.values()} == {NARROW.sha256[:16]}
    record = runs.show(loaded, done.json["run"])["run"]
    assert (record["status"], record["rows_written"]) == ("done", IMAGES + CONCEPTS)


def test_embeddings_that_are_not_ours_are_refused_and_replaced(loaded: Graph, drawn: Path) -> None:
    loaded.write(parse("t/f", "// A foreign one.\nCREATE (:ImageVector {id: 'I10000004', embedding: [1.0, 2.0]})"))
    with pytest.raises(KgpError, match="embeddings of an unknown model"):
        run(loaded, drawn)
    assert run(loaded, drawn, replace=True).replaced == 1
    assert len(embedded(loaded)) == IMAGES + CONCEPTS


def test_undo_takes_the_embeddings_out_and_leaves_the_scores_current(loaded: Graph, drawn: Path, fake: Fake) -> None:
    naf.score(loaded)
    outcome = run(loaded, drawn)
    undone = fake("runs", "undo", outcome.run)
    assert undone.out == f"{outcome.run}: the embeddings of {IMAGES + CONCEPTS} nodes taken out\n"
    assert undone.err == f"{outcome.run}: the embeddings of {IMAGES + CONCEPTS} nodes would go\n"
    assert embedded(loaded) == {}
    assert loaded.read(queries.get("naf/state"))[0]["current"]
    assert runs.show(loaded, outcome.run)["run"]["status"] == "undone"
    assert run(loaded, drawn).images.done == IMAGES
    assert runs.show(loaded, outcome.run)["run"]["rows_written"] == IMAGES + CONCEPTS


def test_an_undo_that_was_killed_is_finished_first(loaded: Graph, drawn: Path) -> None:
    outcome = run(loaded, drawn)
    loaded.write(queries.get("runs/undo_begin"), run=outcome.run)
    loaded.write(NEW_IMAGE)
    with pytest.raises(KgpError, match="half undone"):
        run(loaded, drawn)
    runs.undo(loaded, outcome.run)
    assert run(loaded, drawn).images.done == IMAGES + 1


def test_a_lost_or_foreign_index_is_made_again(loaded: Graph, drawn: Path) -> None:
    run(loaded, drawn)
    index.drop(loaded, Part.IMAGES)
    assert run(loaded, drawn).indexed == ["image_embedding"]
    index.drop(loaded, Part.CONCEPTS)
    loaded.run_unmanaged(queries.get("embed/index_concept"), config={"vector.dimensions": 7})
    assert run(loaded, drawn).indexed == ["concept_embedding"]
    loaded_index = index.index(loaded, Part.CONCEPTS)
    assert loaded_index is not None
    assert loaded_index.dimensions == 32


def test_vectors_that_an_index_cannot_take_stop_it(loaded: Graph, drawn: Path) -> None:
    class Broken(FakeEncoder):
        def images(self, paths: Any) -> Any:
            return super().images(paths) * np.float32("nan")

    with pytest.raises(KgpError, match="not finite or is zero"):
        run(loaded, drawn, Broken())
    assert embedded(loaded) == {}


def test_the_command_says_what_it_did(loaded: Graph, drawn: Path, fake: Fake) -> None:
    done = fake("embed", "--images", drawn)
    assert done.code == 0, done.err
    first, second, last = done.out.splitlines()
    assert first.startswith(f"images: {IMAGES} embedded, 0 before; ")
    assert second.startswith(f"concepts: {CONCEPTS} embedded, 0 before; ")
    assert last.startswith("fake-1, 32 dimensions, ")
    refused = fake("embed", "--images", drawn, "--model", "other", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (1, "error")


def test_images_and_concepts_stay_readable(loaded: Graph, drawn: Path) -> None:
    """`RETURN i` sends neither vectors nor the platform's own notes about them."""
    run(loaded, drawn)
    names = "// Names.\nMATCH (n:Image|Concept) UNWIND keys(n) AS name RETURN collect(DISTINCT name) AS names"
    [record] = loaded.read(parse("t/n", names))
    assert not {"claims", "who_claims", "embedding", "embedding_model"} & {*record["names"]}


def as_an_earlier_version_wrote_it(loaded: Graph) -> None:
    """Embeddings, their indexes and claims as they were."""
    for label, key in (("Image", "id"), ("Concept", "cui")):
        index = f"{label.lower()}_embedding"
        loaded.run_unmanaged(parse("t/d", f"// Drop.\nDROP INDEX {index}"))
        old = f"MATCH (v:{label}Vector) MATCH (n:{label} {{{key}: v.{key}}})\n"
        old += "SET n.embedding = v.embedding, n.embedding_model = v.embedding_model DETACH DELETE v"
        loaded.write(parse("t/o", f"// As an earlier version wrote it.\n{old}"))
        options = "OPTIONS {indexConfig: {`vector.dimensions`: 8, `vector.similarity_function`: 'cosine'}}"
        create = f"CREATE VECTOR INDEX {index} FOR (n:{label}) ON (n.embedding) {options}"
        loaded.run_unmanaged(parse("t/i", f"// The index then.\n{create}"))
    for what in ("(n)", "()-[n]->()"):
        claims = f"MATCH {what} WHERE n.who_claims IS NOT NULL SET n.claims = n.who_claims REMOVE n.who_claims"
        loaded.write(parse("t/c", f"// Claims under their former name.\n{claims}"))
    loaded.write(parse("t/l", "// Its layout.\nMATCH (p:Platform) SET p.layout = 2"))


def assert_same_vectors(graph: Graph, before: dict[str, tuple[Any, str]]) -> None:
    after = embedded(graph)
    assert after.keys() == before.keys()
    for name, (vector, model) in before.items():
        np.testing.assert_array_equal(after[name][0], vector)
        assert after[name][1] == model


def test_an_undo_takes_out_the_embeddings_of_an_earlier_version(loaded: Graph, drawn: Path) -> None:
    outcome = run(loaded, drawn)
    as_an_earlier_version_wrote_it(loaded)
    assert runs.preview(loaded, outcome.run).embeddings == IMAGES + CONCEPTS
    assert runs.undo(loaded, outcome.run).embeddings == IMAGES + CONCEPTS
    assert embedded(loaded) == {}


def test_a_load_moves_the_embeddings_of_an_earlier_version_and_makes_their_indexes(
    loaded: Graph, drawn: Path, tmp_path: Path
) -> None:
    run(loaded, drawn)
    before = embedded(loaded)
    as_an_earlier_version_wrote_it(loaded)
    with pytest.raises(KgpError, match="an earlier version wrote the graph") as refused:
        Searcher(loaded, lambda: FAKE).search("effusion")
    assert "kgp embed" in refused.value.hint
    load(loaded, tmp_path / "medmkg")
    assert not any(index.ensure(loaded, part, FAKE.width) for part in Part), "they are there"
    assert_same_vectors(loaded, before)
    assert len(Searcher(loaded, lambda: FAKE).search("effusion").hits) == 10


def test_embeddings_of_an_earlier_version_are_not_computed_anew(loaded: Graph, drawn: Path) -> None:
    run(loaded, drawn)
    before = embedded(loaded)
    as_an_earlier_version_wrote_it(loaded)
    outcome = run(loaded, None)  # no folder: no image is left
    assert (outcome.images.done, outcome.images.before, outcome.concepts.done) == (0, IMAGES, 0)
    assert_same_vectors(loaded, before)
    loaded.write(NEW_IMAGE)
    with pytest.raises(UsageError, match="folder of the images is missing"):
        run(loaded, None)


def test_an_upgrade_that_was_killed_anywhere_is_finished_by_the_next(
    loaded: Graph, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(loaded, MedMKG.find(write_medmkg(tmp_path / "more", small_rows(5, 5))))  # claims differ: it has no paths
    run(loaded, drawn)
    before, assertions = embedded(loaded), str(digest(loaded))
    monkeypatch.setattr(upgrading, "VECTORS_AT_A_TIME", 25)
    for statements in range(20):
        as_an_earlier_version_wrote_it(loaded)
        with monkeypatch.context() as patched:
            died = dies_after(patched, statements)
            with contextlib.suppress(Killed):
                upgrading.upgrade(loaded)
        upgrading.upgrade(loaded)
        assert_same_vectors(loaded, before)
        assert str(digest(loaded)) == assertions
        assert all(index.fits(index.index(loaded, part), FAKE.width) for part in Part)
        if not died:
            break
    assert statements > 7, "nodes, two indexes, two batches of vectors, two indexes, and the layout"


class Killed(Exception):
    """The process, from outside."""


def dies_after(patched: pytest.MonkeyPatch, statements: int) -> list[None]:
    """Let a statement that writes be the last after so many others; returns a list that is filled when that is so."""
    died: list[None] = []
    left = [statements]

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:
            if not left[0]:
                died.append(None)
                raise Killed
            left[0] -= 1
            return method(*arguments, **named)

        return counting

    for name in ("transact", "run_unmanaged"):
        patched.setattr(Graph, name, counted(getattr(Graph, name)))
    return died


def test_an_undo_deletes_vectors_with_their_images_and_says_so_before(
    loaded: Graph, drawn: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(loaded, drawn)
    [source] = [row["id"] for row in runs.list_runs(loaded) if row["kind"] == "medmkg"]
    preview = runs.preview(loaded, source)
    with monkeypatch.context() as patched:
        unmanaged = Graph.run_unmanaged

        def killed(graph: Graph, query: queries.Query, **parameters: Any) -> Any:
            if query.name == "runs/undo_labels":
                raise Killed
            return unmanaged(graph, query, **parameters)

        patched.setattr(Graph, "run_unmanaged", killed)
        with pytest.raises(Killed):
            runs.undo(loaded, source)
    assert embedded(loaded) == {}, "vectors go with their nodes"
    assert (preview.nodes, preview.embeddings) == (IMAGES + CONCEPTS, IMAGES + CONCEPTS)
    done = fake("runs", "undo", source)
    assert f"{source}: 0 edges and 0 nodes would go" in done.err
    record = runs.show(loaded, made.run)["run"]
    assert [record[name] for name in ("images", "concepts", "rows_written", "rows_read")] == [0, 0, 0, 0]


def test_vectors_of_images_that_somebody_deleted_are_skipped_then_deleted(
    loaded: Graph, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(loaded, drawn)
    searcher = Searcher(loaded, lambda: FAKE)
    gone = [hit.id for hit in searcher.search("effusion", top=18).hits]
    delete = "// By hand.\n// param ids list: images\nMATCH (i:Image) WHERE i.id IN $ids DETACH DELETE i"
    loaded.write(parse("t/g", delete), ids=gone)
    monkeypatch.setattr(searching, "ASKED", 10)
    left = {hit.id for hit in searcher.search("effusion", top=10).hits}
    assert len(left) == 10
    assert not left & {*gone}
    run(loaded, drawn)
    assert len(embedded(loaded)) == IMAGES - 18 + CONCEPTS
    assert runs.show(loaded, made.run)["run"]["images"] == IMAGES - 18
