"""Embeddings of an earlier version, or of nodes that are gone, on a real graph: moved or deleted, also after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform import queries, runs
from kgplatform import upgrade as upgrading
from kgplatform.digest import digest
from kgplatform.errors import KgpError, UsageError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from kgplatform.search import index
from kgplatform.search import search as searching
from kgplatform.search.index import Part
from kgplatform.search.search import Searcher
from tests.integration import embedded_graphs
from tests.integration.drawn_images import (
    CONCEPTS,
    IMAGES,
    embedded,
    ingest_image_graph,
)
from tests.integration.embedded_graphs import FAKE, NEW_IMAGE, Fake, embed_images
from tests.integration.sources import small_rows, write_medmkg

pytestmark = pytest.mark.server

embedding_image_root = embedded_graphs.embedding_image_root
unembedded_graph = embedded_graphs.unembedded_graph
fake_embedding_kgp = embedded_graphs.fake_embedding_kgp


def downgrade_graph(loaded: Graph) -> None:
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
    outcome = embed_images(unembedded_graph, embedding_image_root)
    downgrade_graph(unembedded_graph)
    assert runs.preview(unembedded_graph, outcome.run).embeddings == IMAGES + CONCEPTS
    assert runs.undo(unembedded_graph, outcome.run).embeddings == IMAGES + CONCEPTS
    assert embedded(unembedded_graph) == {}


def test_a_load_moves_the_embeddings_of_an_earlier_version_and_makes_their_indexes(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path
) -> None:
    embed_images(unembedded_graph, embedding_image_root)
    vectors_before = embedded(unembedded_graph)
    downgrade_graph(unembedded_graph)
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
    embed_images(unembedded_graph, embedding_image_root)
    vectors_before = embedded(unembedded_graph)
    downgrade_graph(unembedded_graph)
    outcome = embed_images(unembedded_graph, None)  # no folder: no image is left
    assert (outcome.images.done, outcome.images.before, outcome.concepts.done) == (0, IMAGES, 0)
    assert_same_vectors(unembedded_graph, vectors_before)
    unembedded_graph.write(NEW_IMAGE)
    with pytest.raises(UsageError, match="folder of the images is missing"):
        embed_images(unembedded_graph, None)


def test_an_upgrade_that_was_killed_anywhere_is_finished_by_the_next(
    unembedded_graph: Graph, embedding_image_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(
        unembedded_graph, MedMKG.find(write_medmkg(tmp_path / "more", small_rows(5, 5)))
    )  # claims differ: it has no paths
    embed_images(unembedded_graph, embedding_image_root)
    vectors_before, digest_before = embedded(unembedded_graph), str(digest(unembedded_graph))
    monkeypatch.setattr(upgrading, "VECTORS_AT_A_TIME", 25)
    for statement_count in range(20):
        downgrade_graph(unembedded_graph)
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
    outcome = embed_images(unembedded_graph, embedding_image_root)
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
    assert f"{source_run}: 0 edges and 0 nodes would be removed" in completed.err
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
    outcome = embed_images(unembedded_graph, embedding_image_root)
    searcher = Searcher(unembedded_graph, lambda: FAKE)
    deleted_ids = [hit.id for hit in searcher.search("effusion", top=18).hits]
    delete_query = "// By hand.\n// param ids list: images\nMATCH (i:Image) WHERE i.id IN $ids DETACH DELETE i"
    unembedded_graph.write(parse_query("t/g", delete_query), ids=deleted_ids)
    monkeypatch.setattr(searching, "CANDIDATES", 10)
    remaining_ids = {hit.id for hit in searcher.search("effusion", top=10).hits}
    assert len(remaining_ids) == 10
    assert not remaining_ids & {*deleted_ids}
    embed_images(unembedded_graph, embedding_image_root)
    assert len(embedded(unembedded_graph)) == IMAGES - 18 + CONCEPTS
    assert runs.show(unembedded_graph, outcome.run)["run"]["images"] == IMAGES - 18
