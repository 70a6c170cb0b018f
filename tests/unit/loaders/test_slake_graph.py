"""SLAKE's knowledge graph as a source: lists, sentences, names of concepts, damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.slake_graph import ITSELF, MAX_ENTRY, SENTENCES, TYPE, SlakeGraph
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef
from kgplatform.errors import InputError


def write_facts(folder: Path, *rows: str) -> Path:
    (folder / "KG").mkdir(exist_ok=True)
    (folder / "KG" / "en_disease.csv").write_text(
        "disease#attribute#value\n" + "\n".join(rows) + "\n", encoding="utf-8"
    )
    return folder


def read(folder: Path) -> GraphBatch:
    [batch] = list(SlakeGraph(folder).batches(10_000))
    return batch


def test_a_list_is_one_edge_for_each_entry_and_names_of_concepts_are_concepts(tmp_path: Path) -> None:
    batch = read(write_facts(tmp_path, "Pneumothorax#symptom#chest pain, zebra stripes", "Pneumothorax#locate in#Lung"))
    names = {node: properties["name"] for node, properties in batch.nodes.items()}
    edges = {(names[head], relation, names[tail]) for head, relation, tail in batch.edges}
    assert edges == {
        ("Pneumothorax", "symptom", "Chest pain"),
        ("Pneumothorax", "symptom", "zebra stripes"),
        ("Pneumothorax", "locate_in", "Lung"),
    }
    assert batch.nodes["Thing", f"{TYPE}:zebra stripes"] == {"type": TYPE, "name": "zebra stripes"}
    assert {node[0] for node, name in names.items() if name in ("Pneumothorax", "Lung")} == {"Concept"}
    assert (batch.read, batch.asserted) == (2, 3)


def test_sentences_and_facts_about_a_concept_and_itself_are_counted_and_left_out(tmp_path: Path) -> None:
    batch = read(
        write_facts(
            tmp_path,
            "Pneumothorax#description#air enters the cavity",
            f"Pneumothorax#cause#{'x' * (MAX_ENTRY + 1)}",
            "Lung#alias#lung",
        )
    )
    assert batch.left_out == {SENTENCES: 2, ITSELF: 1}
    assert not batch.edges


def test_a_damaged_row_is_a_reject(tmp_path: Path) -> None:
    batch = read(write_facts(tmp_path, "Pneumothorax#cause", "Pneumothorax#cause#injury"))
    assert [(reject.row, reject.reason) for reject in batch.rejects] == [(2, "the row is not head#relation#tail")]
    assert len(batch.edges) == 1


def test_a_folder_without_facts_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no knowledge graph of SLAKE here"):
        SlakeGraph(tmp_path)


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(rows=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=80), max_size=6))
def test_any_rows_give_edges_with_their_nodes_or_rejects(tmp_path: Path, rows: list[str]) -> None:
    for batch in SlakeGraph(write_facts(tmp_path, *rows)).batches(2):
        assert all(head in batch.nodes and tail in batch.nodes for head, _, tail in batch.edges)
        assert all(relation for _, relation, _ in batch.edges)


@pytest.mark.data
def test_the_release_is_read(data_dir: Path) -> None:
    edges: set[EdgeRef] = set()
    concepts: set[NodeRef] = set()
    rejected = 0
    for batch in SlakeGraph(data_dir / "slake").batches(500):
        edges |= batch.edges.keys()
        concepts |= {node for node in batch.nodes if node[0] == "Concept"}
        rejected += len(batch.rejects)
    assert len(edges) > 2_500
    assert len(concepts) > 150
    assert rejected <= 1
