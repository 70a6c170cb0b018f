"""Loading: exact counts, idempotence, provenance, concurrency, and what happens to bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples
from kgplatform import naf, queries, runs
from kgplatform.batches import GraphBatch
from kgplatform.digest import digest
from kgplatform.errors import InputError, KgpError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from kgplatform.survey import Account
from tests.conftest import Kgp
from tests.integration.sources import Handmade, small_rows, write_medmkg

pytestmark = pytest.mark.server

CONCEPT = parse_query(
    "t/c", "// A concept.\n// param cui string: its CUI\nMATCH (c:Concept {cui: $cui}) RETURN properties(c) AS p"
)
IMAGE = parse_query(
    "t/i", "// An image.\n// param id string: its id\nMATCH (i:Image {id: $id}) RETURN properties(i) AS p"
)
ENTITY_PROPERTIES = parse_query(
    "t/n", "// A thing.\n// param id string: its id\nMATCH (n:Thing {id: $id}) RETURN properties(n) AS p"
)
EDGES = parse_query(
    "t/e",
    "// All edges.\nMATCH (h)-[r]->(t) RETURN coalesce(h.cui, h.id) AS h, type(r) AS r, coalesce(t.cui, t.id) AS t",
)
TYPES = parse_query("t/t", "// Vocabulary.\nCALL db.relationshipTypes() YIELD relationshipType AS name RETURN name")


def _small_medmkg(folder: Path, **changes: list[str]) -> MedMKG:
    write_medmkg(folder, changes.get("rows", small_rows()), changes.get("mapping"))
    return MedMKG.find(folder)


@pytest.mark.data
def test_the_release_is_loaded_whole_and_a_second_load_changes_nothing(graph: Graph, data_dir: Path) -> None:
    medmkg_source = MedMKG.find(data_dir / "medmkg")
    first_load = ingest(graph, medmkg_source)
    assert first_load.rows == Account(read=35_387, written=35_387, existing=0, rejected=0)
    assert first_load.enriched == Account(read=22_671, written=4_868, existing=17_803, rejected=0)
    assert first_load.new_nodes == 8_017
    digest_before = str(digest(graph))
    second_load = ingest(graph, medmkg_source)
    assert second_load.rows == Account(read=35_387, written=0, existing=35_387, rejected=0)
    assert second_load.enriched.written == 0
    assert second_load.run == first_load.run
    assert str(digest(graph)) == digest_before


def test_the_graph_holds_exactly_the_rows_of_the_file(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = small_rows()
    ingest(graph, _small_medmkg(tmp_path, rows=medmkg_rows))
    expected = sorted(tuple(medmkg_row.split(",")[:3]) for medmkg_row in medmkg_rows)
    assert sorted((edge["h"], edge["r"], edge["t"]) for edge in graph.read(EDGES)) == expected


def test_a_mapping_completes_images_and_creates_none(graph: Graph, tmp_path: Path) -> None:
    image_path = "physionet.org/files/mimic-cxr-jpg/2.0.0/files/p10/p10724828/s10000000/a.jpg"
    ingest(
        graph, _small_medmkg(tmp_path, mapping=[f"I10000000,{image_path}", "I77777777,files/p10/p1/s77777777/b.jpg"])
    )
    [image] = graph.read(IMAGE, id="I10000000")
    assert image["p"]["path"] == image_path
    assert image["p"]["subject_id"] == "10724828"
    assert image["p"]["study_id"] == "10000000"
    assert graph.read(IMAGE, id="I77777777") == []


def test_every_element_names_its_run(graph: Graph, tmp_path: Path) -> None:
    load_report = ingest(graph, _small_medmkg(tmp_path))
    run_details = runs.show(graph, load_report.run)
    assert run_details["nodes"] == 70
    assert run_details["edges"] == run_details["edges_of_this_run_alone"] == 178
    assert run_details["run"]["status"] == "done"
    assert run_details["run"]["rows_written"] == 178


def test_a_dry_run_tells_what_a_load_then_does_and_writes_nothing(graph: Graph, tmp_path: Path) -> None:
    medmkg_source = _small_medmkg(tmp_path, mapping=["I10000001,files/p10/p1/s10000001/b.jpg"])
    empty_digest = str(digest(graph))
    first_dry_run = ingest(graph, medmkg_source, dry_run=True)
    assert str(digest(graph)) == empty_digest
    assert runs.list_runs(graph) == []
    real_load = ingest(graph, medmkg_source)
    assert (first_dry_run.rows, first_dry_run.enriched, first_dry_run.new_nodes) == (
        real_load.rows,
        real_load.enriched,
        real_load.new_nodes,
    )
    second_dry_run = ingest(graph, medmkg_source, dry_run=True)
    assert second_dry_run.rows == Account(178, 0, 178, 0)
    assert second_dry_run.enriched == Account(1, 0, 1, 0)


def test_duplicate_rows_are_one_edge_and_count_as_already_there(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = small_rows(2, 5)
    load_report = ingest(graph, _small_medmkg(tmp_path, rows=medmkg_rows * 2))
    assert load_report.rows == Account(len(medmkg_rows) * 2, len(medmkg_rows), len(medmkg_rows), 0)


def test_stop_writes_nothing_and_names_file_and_row(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = small_rows()
    medmkg_rows[50] = "I1,MAYBE,C9900001,x,patient John Doe"
    medmkg_source = _small_medmkg(tmp_path, rows=medmkg_rows)
    digest_before = str(digest(graph))
    with pytest.raises(InputError) as raised:
        ingest(graph, medmkg_source)
    assert raised.value.row == 52  # the header is row 1
    assert raised.value.path == tmp_path / "MedMKG.csv"
    assert "John Doe" not in str(raised.value)
    assert str(digest(graph)) == digest_before
    assert runs.list_runs(graph) == []


def test_skip_loads_the_rest_and_lists_the_bad_rows(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = small_rows()
    medmkg_rows[3] = "nonsense"
    medmkg_rows[9] = "I1,MAYBE,C9900001,x,patient John Doe"
    medmkg_source = _small_medmkg(tmp_path, rows=medmkg_rows)
    rejects_path = tmp_path / "bad.tsv"
    load_report = ingest(graph, medmkg_source, on_error="skip", rejects=rejects_path)
    assert load_report.rows == Account(178, 176, 0, 2)
    reject_lines = rejects_path.read_text(encoding="utf-8").splitlines()
    assert [reject_line.split("\t")[1] for reject_line in reject_lines[1:]] == ["5", "11"]
    assert "John Doe" not in rejects_path.read_text(encoding="utf-8")


def test_the_first_value_of_a_property_stays_and_undo_restores_it(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, _small_medmkg(tmp_path / "a", rows=["I1,POSITIVE,C9900001,Image_I1,first name"]))
    digest_before = str(digest(graph))
    load_report = ingest(
        graph,
        _small_medmkg(
            tmp_path / "b", rows=["I1,POSITIVE,C9900001,Image_I1,second name", "I2,NEGATIVE,C9900001,x,second name"]
        ),
    )
    [concept] = graph.read(CONCEPT, cui="C9900001")
    assert concept["p"]["name"] == "first name"
    assert len(concept["p"]["runs"]) == 2
    assert load_report.rows == Account(2, 1, 1, 0)
    runs.undo(graph, load_report.run)
    assert str(digest(graph)) == digest_before


def test_undo_takes_out_properties_that_the_run_alone_filled(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = small_rows()
    ingest(graph, _small_medmkg(tmp_path / "plain", rows=medmkg_rows))
    digest_before = str(digest(graph))
    mapping_load = ingest(
        graph, _small_medmkg(tmp_path / "mapped", rows=medmkg_rows, mapping=["I10000000,files/p10/p5/s10000000/a.jpg"])
    )
    assert mapping_load.enriched.written == 1
    assert str(digest(graph)) != digest_before
    runs.undo(graph, mapping_load.run)
    assert str(digest(graph)) == digest_before


def test_undo_of_the_older_of_two_loads_keeps_what_the_newer_asserts(graph: Graph, tmp_path: Path) -> None:
    medmkg_rows = small_rows()
    old_load = ingest(graph, _small_medmkg(tmp_path / "old", rows=medmkg_rows))
    ingest(graph, _small_medmkg(tmp_path / "new", rows=medmkg_rows[:20]))
    runs.undo(graph, old_load.run)
    assert len(graph.read(EDGES)) == 20


def test_at_a_terminal_an_undo_says_what_goes_and_asks(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    medmkg_rows = small_rows()
    old_load = ingest(graph, _small_medmkg(tmp_path / "old", rows=medmkg_rows))
    ingest(graph, _small_medmkg(tmp_path / "new", rows=medmkg_rows[:20]))
    digest_before = str(digest(graph))
    terminal_end, command_end = os.openpty()
    os.write(terminal_end, b"n\n")
    command = [sys.executable, "-c", "from kgplatform.cli import main; main()", "runs", "undo", old_load.run]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    refused = subprocess.run(command, env=environment, stdin=command_end, capture_output=True, text=True, check=False)
    os.close(terminal_end)
    os.close(command_end)
    assert (refused.returncode, refused.stdout) == (1, "")
    preview = runs.preview(graph, old_load.run)
    assert (preview.edges, preview.kept_edges) == (158, 20)
    assert f"{old_load.run}: 158 edges and {preview.nodes} nodes would be removed; 20 edges and" in refused.stderr
    assert str(digest(graph)) == digest_before
    undone = runs.undo(graph, old_load.run)
    assert (undone.edges, undone.nodes) == (preview.edges, preview.nodes), "it does what it said"


def test_an_undone_run_has_nothing_to_undo_and_leaves_the_scores_current(
    graph: Graph, kgp: Kgp, tmp_path: Path
) -> None:
    undone_load = ingest(graph, _small_medmkg(tmp_path / "a"))
    ingest(graph, _small_medmkg(tmp_path / "b", rows=small_rows()[:20]))
    assert kgp("runs", "undo", undone_load.run).code == 0
    naf.score(graph)
    repeated = kgp("runs", "undo", undone_load.run)
    assert (repeated.code, repeated.out) == (0, f"{undone_load.run}: 0 edges and 0 nodes removed\n")
    assert f"{undone_load.run} is already undone: there is nothing to remove" in repeated.err
    naf.filter_images(graph)  # it raises KgpError where the scores are out of date


def test_what_is_loaded_otherwise_than_it_was_perhaps_meant_is_remarked(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    table_path = tmp_path / "own.csv"
    table_path.write_text("head,relation,tail\nC32227,treats,c0032227\nI1,POSITIVE,C0032227\n", encoding="utf-8")
    loaded = kgp("ingest", "triples", table_path)
    assert "loaded, but check: 1 row with an id like C32227 or c0032227, a Thing here" in loaded.out
    remarks = kgp("ingest", "triples", table_path, "--json").json["remarks"]
    assert list(remarks.values()) == [1]


def test_claims_are_listed_only_where_runs_say_different_things(graph: Graph, tmp_path: Path) -> None:
    image, concept = ("Image", "I1"), ("Concept", "C9900001")
    graph_batch = GraphBatch(read=1, nodes={image: {"dataset": "x"}, concept: {"name": "y"}})
    graph_batch.edges[image, "POSITIVE", concept] = {"score": 0.5}
    for source_name in "ab":
        ingest(graph, Handmade(tmp_path / source_name, [graph_batch], source_name))
    assert "who_claims" not in graph.read(IMAGE, id="I1")[0]["p"]
    digest_before = str(digest(graph))
    second_batch = GraphBatch(read=1, nodes={image: {"dataset": "z", "view": "PA"}, concept: {}})
    second_batch.edges[image, "POSITIVE", concept] = {"section": "findings"}
    run_id = ingest(graph, Handmade(tmp_path / "c", [second_batch], "c")).run
    properties = graph.read(IMAGE, id="I1")[0]["p"]
    assert (properties["dataset"], properties["view"]) == ("x", "PA")
    assert {claim.split("@")[0] for claim in properties["who_claims"] if claim.endswith(f"@{run_id}")} == {"view"}
    runs.undo(graph, run_id)
    assert "who_claims" not in graph.read(IMAGE, id="I1")[0]["p"]
    assert str(digest(graph)) == digest_before


def test_an_undone_load_can_be_loaded_again(graph: Graph, tmp_path: Path) -> None:
    medmkg_source = _small_medmkg(tmp_path)
    empty_digest = str(digest(graph))
    load_report = ingest(graph, medmkg_source)
    loaded_digest = str(digest(graph))
    runs.undo(graph, load_report.run)
    assert str(digest(graph)) == empty_digest
    assert ingest(graph, medmkg_source).rows.written == 178
    assert str(digest(graph)) == loaded_digest


def test_a_half_undone_load_must_be_undone_to_the_end_first(graph: Graph, tmp_path: Path) -> None:
    medmkg_source = _small_medmkg(tmp_path)
    load_report = ingest(graph, medmkg_source)
    graph.write(queries.get("runs/undo_begin"), run=load_report.run)
    with pytest.raises(KgpError, match="half undone"):
        ingest(graph, medmkg_source)
    runs.undo(graph, load_report.run)
    assert ingest(graph, medmkg_source).rows.written == 178


def test_edges_and_nodes_that_somebody_else_made_survive_an_undo(graph: Graph, tmp_path: Path) -> None:
    load_report = ingest(graph, _small_medmkg(tmp_path))
    note_query = parse_query(
        "t/n", "// A hand-made note.\nMATCH (c:Concept {cui: 'C9900003'}) CREATE (c)<-[:ABOUT]-(:Note {text: 'x'})"
    )
    graph.write(note_query)
    runs.undo(graph, load_report.run)
    assert [(edge["r"], edge["t"]) for edge in graph.read(EDGES)] == [("ABOUT", "C9900003")]


def test_a_users_own_graph_keeps_types_names_and_relations(graph: Graph, tmp_path: Path) -> None:
    triples_path = tmp_path / "mine.tsv"
    triples_path.write_text(
        "head\thead_type\trelation\ttail\ttail_type\n"
        "BRCA1\tgene/protein\tassociated_with\tC0006142\tConcept\n"
        "BRCA1\tgene/protein\tinteracts-with\tTP53\tgene/protein\n",
        encoding="utf-8",
    )
    load_report = ingest(graph, Triples(triples_path))
    assert load_report.rows == Account(2, 2, 0, 0)
    edges = sorted((edge["h"], edge["r"], edge["t"]) for edge in graph.read(EDGES))
    assert edges == [
        ("GeneProtein:BRCA1", "associated_with", "C0006142"),
        ("GeneProtein:BRCA1", "interacts-with", "GeneProtein:TP53"),
    ]
    runs.undo(graph, load_report.run)
    assert digest(graph).nodes == 0


def test_a_name_that_a_later_file_states_is_taken_where_the_first_had_none(graph: Graph, tmp_path: Path) -> None:
    nameless_path, named_path = tmp_path / "nameless.csv", tmp_path / "named.csv"
    nameless_path.write_text("head,head_type,relation,tail\nP,Gene,binds,Q\n")
    named_path.write_text("head,head_type,head_name,relation,tail\nP,Gene,Protein P,inhibits,Q\n")
    nameless_load = ingest(graph, Triples(nameless_path))
    assert "name" not in graph.read(ENTITY_PROPERTIES, id="Gene:P")[0]["p"]
    ingest(graph, Triples(named_path))
    assert graph.read(ENTITY_PROPERTIES, id="Gene:P")[0]["p"]["name"] == "Protein P"
    runs.undo(graph, nameless_load.run)
    assert graph.read(ENTITY_PROPERTIES, id="Gene:P")[0]["p"]["name"] == "Protein P"


@pytest.mark.parametrize(
    "relation",
    ["a`]->() DETACH DELETE n //", "x\\u0060", "", "a b", "1a", "a" * 101, "POSITIVE", "SHOWS", "PREDICTED"],
)
def test_a_loader_plugin_cannot_smuggle_a_relation_in(graph: Graph, tmp_path: Path, relation: str) -> None:
    head, tail = ("Concept", "C9900001"), ("Concept", "C9900002")
    graph_batch = GraphBatch(read=1, nodes={head: {}, tail: {}}, edges={(head, relation, tail): {}})
    types_before = {record["name"] for record in graph.read(TYPES)}
    with pytest.raises(InputError, match="bad relation"):
        ingest(graph, Handmade(tmp_path / "f", [graph_batch]))
    assert {record["name"] for record in graph.read(TYPES)} == types_before


@pytest.mark.parametrize(
    ("ref", "properties"),
    [
        (("Admin", "x"), {}),
        (("Thing", "bad type:x"), {}),
        (("Thing", "lower:x"), {}),
        (("Concept", "C9900001"), {"runs": "mine"}),
        (("Concept", "C9900001"), {"naf": 3.0}),
        (("Concept", "C9900001"), {"bad name": 1}),
    ],
)
def test_a_loader_plugin_cannot_write_outside_the_schema(
    graph: Graph, tmp_path: Path, ref: tuple[str, str], properties: dict[str, object]
) -> None:
    graph_batch = GraphBatch(read=1, nodes={ref: properties})
    with pytest.raises(InputError):
        ingest(graph, Handmade(tmp_path / "f", [graph_batch]))
    assert digest(graph).nodes == 0


def test_edge_properties_are_claimed_by_their_run(graph: Graph, tmp_path: Path) -> None:
    image, concept = ("Image", "I1"), ("Concept", "C9900001")
    edge = (image, "POSITIVE", concept)
    plain_batch = GraphBatch(read=1, nodes={image: {}, concept: {}}, edges={edge: {}})
    evidence_batch = GraphBatch(
        read=1, nodes={image: {}, concept: {}}, edges={edge: {"section": "findings", "score": 0.5}}
    )
    ingest(graph, Handmade(tmp_path / "a", [plain_batch], "a"))
    digest_before = str(digest(graph))
    load_report = ingest(graph, Handmade(tmp_path / "b", [evidence_batch], "b"))
    assert load_report.rows == Account(1, 0, 1, 0)
    runs.undo(graph, load_report.run)
    assert str(digest(graph)) == digest_before
