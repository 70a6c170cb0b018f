"""Loading: exact counts, idempotence, provenance, concurrency, and what happens to bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples
from kgplatform import queries, runs
from kgplatform.batches import GraphBatch
from kgplatform.digest import digest
from kgplatform.errors import InputError, KgpError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.settings import Settings
from kgplatform.survey import Account
from tests.integration.sources import Handmade, small_rows, write_medmkg

pytestmark = pytest.mark.server

CONCEPT = parse(
    "t/c", "// A concept.\n// param cui string: its CUI\nMATCH (c:Concept {cui: $cui}) RETURN properties(c) AS p"
)
IMAGE = parse("t/i", "// An image.\n// param id string: its id\nMATCH (i:Image {id: $id}) RETURN properties(i) AS p")
EDGES = parse(
    "t/e",
    "// All edges.\nMATCH (h)-[r]->(t) RETURN coalesce(h.cui, h.id) AS h, type(r) AS r, coalesce(t.cui, t.id) AS t",
)
TYPES = parse("t/t", "// Vocabulary.\nCALL db.relationshipTypes() YIELD relationshipType AS name RETURN name")


def small(folder: Path, **changes: list[str]) -> MedMKG:
    write_medmkg(folder, changes.get("rows", small_rows()), changes.get("mapping"))
    return MedMKG.find(folder)


@pytest.mark.data
def test_the_release_is_loaded_whole_and_a_second_load_changes_nothing(graph: Graph, data_dir: Path) -> None:
    source = MedMKG.find(data_dir / "medmkg")
    first = ingest(graph, source)
    assert first.rows == Account(read=35_387, written=35_387, existing=0, rejected=0)
    assert first.enriched == Account(read=22_671, written=4_868, existing=17_803, rejected=0)
    assert first.new_nodes == 8_017
    before = str(digest(graph))
    again = ingest(graph, source)
    assert again.rows == Account(read=35_387, written=0, existing=35_387, rejected=0)
    assert again.enriched.written == 0
    assert again.run == first.run
    assert str(digest(graph)) == before


def test_the_graph_holds_exactly_the_rows_of_the_file(graph: Graph, tmp_path: Path) -> None:
    rows = small_rows()
    ingest(graph, small(tmp_path, rows=rows))
    wanted = sorted(tuple(row.split(",")[:3]) for row in rows)
    assert sorted((e["h"], e["r"], e["t"]) for e in graph.read(EDGES)) == wanted


def test_a_mapping_completes_images_and_creates_none(graph: Graph, tmp_path: Path) -> None:
    path = "physionet.org/files/mimic-cxr-jpg/2.0.0/files/p10/p10724828/s10000000/a.jpg"
    ingest(graph, small(tmp_path, mapping=[f"I10000000,{path}", "I77777777,files/p10/p1/s77777777/b.jpg"]))
    [image] = graph.read(IMAGE, id="I10000000")
    assert image["p"]["path"] == path
    assert image["p"]["subject_id"] == "10724828"
    assert image["p"]["study_id"] == "10000000"
    assert graph.read(IMAGE, id="I77777777") == []


def test_every_element_names_its_run(graph: Graph, tmp_path: Path) -> None:
    report = ingest(graph, small(tmp_path))
    shown = runs.show(graph, report.run)
    assert shown["nodes"] == 70
    assert shown["edges"] == shown["edges_of_this_run_alone"] == 178
    assert shown["run"]["status"] == "done"
    assert shown["run"]["rows_written"] == 178


def test_a_dry_run_tells_what_a_load_then_does_and_writes_nothing(graph: Graph, tmp_path: Path) -> None:
    source = small(tmp_path, mapping=["I10000001,files/p10/p1/s10000001/b.jpg"])
    empty = str(digest(graph))
    told = ingest(graph, source, dry_run=True)
    assert str(digest(graph)) == empty
    assert runs.list_runs(graph) == []
    done = ingest(graph, source)
    assert (told.rows, told.enriched, told.new_nodes) == (done.rows, done.enriched, done.new_nodes)
    told_again = ingest(graph, source, dry_run=True)
    assert told_again.rows == Account(178, 0, 178, 0)
    assert told_again.enriched == Account(1, 0, 1, 0)


def test_duplicate_rows_are_one_edge_and_count_as_already_there(graph: Graph, tmp_path: Path) -> None:
    rows = small_rows(2, 5)
    report = ingest(graph, small(tmp_path, rows=rows * 2))
    assert report.rows == Account(len(rows) * 2, len(rows), len(rows), 0)


def test_stop_writes_nothing_and_names_file_and_row(graph: Graph, tmp_path: Path) -> None:
    rows = small_rows()
    rows[50] = "I1,MAYBE,C9900001,x,patient John Doe"
    source = small(tmp_path, rows=rows)
    before = str(digest(graph))
    with pytest.raises(InputError) as error:
        ingest(graph, source)
    assert error.value.row == 52  # the header is row 1
    assert error.value.path == tmp_path / "MedMKG.csv"
    assert "John Doe" not in str(error.value)
    assert str(digest(graph)) == before
    assert runs.list_runs(graph) == []


def test_skip_loads_the_rest_and_lists_the_bad_rows(graph: Graph, tmp_path: Path) -> None:
    rows = small_rows()
    rows[3] = "nonsense"
    rows[9] = "I1,MAYBE,C9900001,x,patient John Doe"
    source = small(tmp_path, rows=rows)
    rejects = tmp_path / "bad.tsv"
    report = ingest(graph, source, on_error="skip", rejects=rejects)
    assert report.rows == Account(178, 176, 0, 2)
    lines = rejects.read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[1] for line in lines[1:]] == ["5", "11"]
    assert "John Doe" not in rejects.read_text(encoding="utf-8")


def test_the_first_value_of_a_property_stays_and_undo_restores_it(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, small(tmp_path / "a", rows=["I1,POSITIVE,C9900001,Image_I1,first name"]))
    before = str(digest(graph))
    report = ingest(
        graph,
        small(tmp_path / "b", rows=["I1,POSITIVE,C9900001,Image_I1,second name", "I2,NEGATIVE,C9900001,x,second name"]),
    )
    [concept] = graph.read(CONCEPT, cui="C9900001")
    assert concept["p"]["name"] == "first name"
    assert len(concept["p"]["runs"]) == 2
    assert report.rows == Account(2, 1, 1, 0)
    runs.undo(graph, report.run)
    assert str(digest(graph)) == before


def test_undo_takes_out_properties_that_the_run_alone_filled(graph: Graph, tmp_path: Path) -> None:
    rows = small_rows()
    ingest(graph, small(tmp_path / "plain", rows=rows))
    before = str(digest(graph))
    mapped = ingest(graph, small(tmp_path / "mapped", rows=rows, mapping=["I10000000,files/p10/p5/s10000000/a.jpg"]))
    assert mapped.enriched.written == 1
    assert str(digest(graph)) != before
    runs.undo(graph, mapped.run)
    assert str(digest(graph)) == before


def test_undo_of_the_older_of_two_loads_keeps_what_the_newer_asserts(graph: Graph, tmp_path: Path) -> None:
    rows = small_rows()
    old = ingest(graph, small(tmp_path / "old", rows=rows))
    ingest(graph, small(tmp_path / "new", rows=rows[:20]))
    runs.undo(graph, old.run)
    assert len(graph.read(EDGES)) == 20


def test_at_a_terminal_an_undo_says_what_goes_and_asks(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    rows = small_rows()
    old = ingest(graph, small(tmp_path / "old", rows=rows))
    ingest(graph, small(tmp_path / "new", rows=rows[:20]))
    before = str(digest(graph))
    terminal, theirs = os.openpty()
    os.write(terminal, b"n\n")
    command = [sys.executable, "-c", "from kgplatform.cli import main; main()", "runs", "undo", old.run]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    refused = subprocess.run(command, env=environment, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(terminal)
    os.close(theirs)
    assert (refused.returncode, refused.stdout) == (1, "")
    preview = runs.preview(graph, old.run)
    assert (preview.edges, preview.kept_edges) == (158, 20)
    assert f"{old.run}: 158 edges and {preview.nodes} nodes would go; 20 edges and" in refused.stderr
    assert str(digest(graph)) == before
    undone = runs.undo(graph, old.run)
    assert (undone.edges, undone.nodes) == (preview.edges, preview.nodes), "it does what it said"


def test_claims_are_listed_only_where_runs_say_different_things(graph: Graph, tmp_path: Path) -> None:
    image, concept = ("Image", "I1"), ("Concept", "C9900001")
    batch = GraphBatch(read=1, nodes={image: {"dataset": "x"}, concept: {"name": "y"}})
    batch.edges[image, "POSITIVE", concept] = {"score": 0.5}
    for name in "ab":
        ingest(graph, Handmade(tmp_path / name, [batch], name))
    assert "who_claims" not in graph.read(IMAGE, id="I1")[0]["p"]
    before = str(digest(graph))
    more = GraphBatch(read=1, nodes={image: {"dataset": "z", "view": "PA"}, concept: {}})
    more.edges[image, "POSITIVE", concept] = {"section": "findings"}
    run = ingest(graph, Handmade(tmp_path / "c", [more], "c")).run
    found = graph.read(IMAGE, id="I1")[0]["p"]
    assert (found["dataset"], found["view"]) == ("x", "PA")
    assert {claim.split("@")[0] for claim in found["who_claims"] if claim.endswith(f"@{run}")} == {"view"}
    runs.undo(graph, run)
    assert "who_claims" not in graph.read(IMAGE, id="I1")[0]["p"]
    assert str(digest(graph)) == before


def test_an_undone_load_can_be_loaded_again(graph: Graph, tmp_path: Path) -> None:
    source = small(tmp_path)
    empty = str(digest(graph))
    report = ingest(graph, source)
    loaded = str(digest(graph))
    runs.undo(graph, report.run)
    assert str(digest(graph)) == empty
    assert ingest(graph, source).rows.written == 178
    assert str(digest(graph)) == loaded


def test_a_half_undone_run_must_be_undone_to_the_end_first(graph: Graph, tmp_path: Path) -> None:
    source = small(tmp_path)
    report = ingest(graph, source)
    graph.write(queries.get("runs/undo_begin"), run=report.run)
    with pytest.raises(KgpError, match="half undone"):
        ingest(graph, source)
    runs.undo(graph, report.run)
    assert ingest(graph, source).rows.written == 178


def test_edges_and_nodes_that_somebody_else_made_survive_an_undo(graph: Graph, tmp_path: Path) -> None:
    report = ingest(graph, small(tmp_path))
    note = parse(
        "t/n", "// A hand-made note.\nMATCH (c:Concept {cui: 'C9900003'}) CREATE (c)<-[:ABOUT]-(:Note {text: 'x'})"
    )
    graph.write(note)
    runs.undo(graph, report.run)
    assert [(e["r"], e["t"]) for e in graph.read(EDGES)] == [("ABOUT", "C9900003")]


def test_a_users_own_graph_keeps_types_names_and_relations(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(
        "head\thead_type\trelation\ttail\ttail_type\n"
        "BRCA1\tgene/protein\tassociated_with\tC0006142\tConcept\n"
        "BRCA1\tgene/protein\tinteracts-with\tTP53\tgene/protein\n",
        encoding="utf-8",
    )
    report = ingest(graph, Triples(path))
    assert report.rows == Account(2, 2, 0, 0)
    found = sorted((e["h"], e["r"], e["t"]) for e in graph.read(EDGES))
    assert found == [
        ("GeneProtein:BRCA1", "associated_with", "C0006142"),
        ("GeneProtein:BRCA1", "interacts-with", "GeneProtein:TP53"),
    ]
    runs.undo(graph, report.run)
    assert digest(graph).nodes == 0


@pytest.mark.parametrize(
    "relation",
    ["a`]->() DETACH DELETE n //", "x\\u0060", "", "a b", "1a", "a" * 101, "POSITIVE", "SHOWS", "PREDICTED"],
)
def test_a_loader_plugin_cannot_smuggle_a_relation_in(graph: Graph, tmp_path: Path, relation: str) -> None:
    a, b = ("Concept", "C9900001"), ("Concept", "C9900002")
    batch = GraphBatch(read=1, nodes={a: {}, b: {}}, edges={(a, relation, b): {}})
    before = {record["name"] for record in graph.read(TYPES)}
    with pytest.raises(InputError, match="bad relation"):
        ingest(graph, Handmade(tmp_path / "f", [batch]))
    assert {record["name"] for record in graph.read(TYPES)} == before


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
    batch = GraphBatch(read=1, nodes={ref: properties})
    with pytest.raises(InputError):
        ingest(graph, Handmade(tmp_path / "f", [batch]))
    assert digest(graph).nodes == 0


def test_edge_properties_are_claimed_by_their_run(graph: Graph, tmp_path: Path) -> None:
    image, concept = ("Image", "I1"), ("Concept", "C9900001")
    edge = (image, "POSITIVE", concept)
    plain = GraphBatch(read=1, nodes={image: {}, concept: {}}, edges={edge: {}})
    evident = GraphBatch(read=1, nodes={image: {}, concept: {}}, edges={edge: {"section": "findings", "score": 0.5}})
    ingest(graph, Handmade(tmp_path / "a", [plain], "a"))
    before = str(digest(graph))
    report = ingest(graph, Handmade(tmp_path / "b", [evident], "b"))
    assert report.rows == Account(1, 0, 1, 0)
    runs.undo(graph, report.run)
    assert str(digest(graph)) == before
