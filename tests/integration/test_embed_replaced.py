"""Embeddings of another model, foreign and lost ones on a real graph: refused, replaced, undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgplatform import naf, queries, runs
from kgplatform.errors import KgpError
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.search import index
from kgplatform.search.index import Part
from tests.fake_encoder import FakeEncoder
from tests.integration import embedded_graphs
from tests.integration.drawn_images import (
    CONCEPTS,
    IMAGES,
    embedded,
)
from tests.integration.embedded_graphs import FAKE, NARROW, NEW_IMAGE, Fake, embed_images, everything

pytestmark = pytest.mark.server

embedding_image_root = embedded_graphs.embedding_image_root
unembedded_graph = embedded_graphs.unembedded_graph
fake_embedding_kgp = embedded_graphs.fake_embedding_kgp


def test_another_models_embeddings_are_refused_then_replaced(
    unembedded_graph: Graph, embedding_image_root: Path
) -> None:
    old_outcome = embed_images(unembedded_graph, embedding_image_root)
    state_before = everything(unembedded_graph)
    with pytest.raises(KgpError, match="the images have embeddings of fake-1, not of narrow-1") as refused:
        embed_images(unembedded_graph, embedding_image_root, NARROW)
    assert "--replace" in refused.value.hint
    assert everything(unembedded_graph) == state_before
    new_outcome = embed_images(unembedded_graph, embedding_image_root, NARROW, replace=True)
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
    repeated = embed_images(unembedded_graph, embedding_image_root, NARROW, replace=True)
    assert (repeated.replaced, repeated.images.done, repeated.indexed) == (0, 0, [])


def test_one_part_is_replaced_without_the_other(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    old_outcome = embed_images(unembedded_graph, embedding_image_root)
    embed_images(unembedded_graph, None, FakeEncoder("words", sees=False), replace=True)
    models_by_kind = {node_key[0]: model_hash for node_key, (_, model_hash) in embedded(unembedded_graph).items()}
    assert models_by_kind == {"I": FAKE.sha256[:16], "C": FakeEncoder("words").sha256[:16]}
    assert runs.show(unembedded_graph, old_outcome.run)["run"]["status"] == "done", "its images are still there"


@pytest.mark.parametrize("batches", [0, 3])
def test_a_replacement_that_is_killed_goes_on(
    unembedded_graph: Graph, embedding_image_root: Path, fake_embedding_kgp: Fake, batches: int
) -> None:
    embed_images(unembedded_graph, embedding_image_root)
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
        embed_images(unembedded_graph, embedding_image_root)
    assert embed_images(unembedded_graph, embedding_image_root, replace=True).replaced == 1
    assert len(embedded(unembedded_graph)) == IMAGES + CONCEPTS


def test_undo_takes_the_embeddings_out_and_leaves_the_scores_current(
    unembedded_graph: Graph, embedding_image_root: Path, fake_embedding_kgp: Fake
) -> None:
    naf.score(unembedded_graph)
    outcome = embed_images(unembedded_graph, embedding_image_root)
    undone = fake_embedding_kgp("runs", "undo", outcome.run)
    assert undone.out == f"{outcome.run}: the embeddings of {IMAGES + CONCEPTS} nodes removed\n"
    assert undone.err == f"{outcome.run}: the embeddings of {IMAGES + CONCEPTS} nodes would be removed\n"
    assert embedded(unembedded_graph) == {}
    assert unembedded_graph.read(queries.get("naf/state"))[0]["current"]
    assert runs.show(unembedded_graph, outcome.run)["run"]["status"] == "undone"
    assert embed_images(unembedded_graph, embedding_image_root).images.done == IMAGES
    assert runs.show(unembedded_graph, outcome.run)["run"]["rows_written"] == IMAGES + CONCEPTS


def test_an_undo_that_was_killed_is_finished_first(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    outcome = embed_images(unembedded_graph, embedding_image_root)
    unembedded_graph.write(queries.get("runs/undo_begin"), run=outcome.run)
    unembedded_graph.write(NEW_IMAGE)
    with pytest.raises(KgpError, match="half undone"):
        embed_images(unembedded_graph, embedding_image_root)
    runs.undo(unembedded_graph, outcome.run)
    assert embed_images(unembedded_graph, embedding_image_root).images.done == IMAGES + 1


def test_a_lost_or_foreign_index_is_made_again(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    embed_images(unembedded_graph, embedding_image_root)
    index.drop(unembedded_graph, Part.IMAGES)
    assert embed_images(unembedded_graph, embedding_image_root).indexed == ["image_embedding"]
    index.drop(unembedded_graph, Part.CONCEPTS)
    unembedded_graph.run_unmanaged(queries.get("embed/index_concept"), config={"vector.dimensions": 7})
    assert embed_images(unembedded_graph, embedding_image_root).indexed == ["concept_embedding"]
    loaded_index = index.index(unembedded_graph, Part.CONCEPTS)
    assert loaded_index is not None
    assert loaded_index.dimensions == 32


def test_vectors_that_an_index_cannot_take_stop_it(unembedded_graph: Graph, embedding_image_root: Path) -> None:
    class Broken(FakeEncoder):
        def images(self, paths: Any) -> Any:
            return super().images(paths) * np.float32("nan")

    with pytest.raises(KgpError, match="not finite or is zero"):
        embed_images(unembedded_graph, embedding_image_root, Broken())
    assert embedded(unembedded_graph) == {}
