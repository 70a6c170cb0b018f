"""RadGraph's graphs on a real graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.phantom import study_set
from kgp_loaders.radgraph import RadGraph, ReportGraph, read_report_graphs, triplets
from kgplatform import runs
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef, Properties
from kgplatform.digest import digest
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.integration import radgraph_files
from tests.integration.radgraph_files import CANARY, EDEMA, EFFUSION, ENTITIES, GRAPHS, LUNG, STUDY
from tests.integration.sources import Handmade, write_medmkg

pytestmark = pytest.mark.server

path = radgraph_files.path

NAMES = [
    f"I50414267,NEGATIVE,{EFFUSION},Image_I50414267,Pleural effusion",
    f"I50414267,POSITIVE,{EDEMA},Image_I50414267,Edema",
    f"{LUNG},isa,{EFFUSION},Left lung structure (body structure),Pleural effusion",
]
ENTITY_EDGES = parse_query(
    "t/e",
    "// Triplets.\nMATCH (i:Image)-[:SHOWS]->(h:Entity)-[r:!REFERS_TO]->(t:Entity) "
    "RETURN i.id AS i, h.text AS h, type(r) AS r, t.text AS t, properties(r) AS p ORDER BY i, h, r, t",
)
REFERS = parse_query(
    "t/r",
    "// Links.\nMATCH (e:Entity)-[r:REFERS_TO]->(c:Concept) RETURN e.text AS text, e.presence AS presence, "
    "r.stance AS stance, r.score AS score, r.method AS method, c.cui AS cui ORDER BY text, cui",
)
LABELS = parse_query(
    "t/l",
    "// Labels.\nMATCH (e:Entity) RETURN e.text AS text, [l IN labels(e) WHERE l <> 'Entity'] AS more ORDER BY text",
)
COUNTS = parse_query("t/c", "// Counts.\nMATCH (n:Entity|Image|Concept) RETURN labels(n)[0] AS label, count(*) AS n")


def counts(graph: Graph) -> dict[str, int]:
    return {count_row["label"]: count_row["n"] for count_row in graph.read(COUNTS)}


@pytest.fixture
def graph_with_concept_names(graph: Graph, tmp_path: Path) -> Graph:
    """A graph in which the concepts of the report have names."""
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "medmkg", NAMES)))
    return graph


# kgp ingest radgraph


def test_graphs_become_triplets_linked_to_the_graphs_concepts(
    graph_with_concept_names: Graph, kgp: Kgp, path: Path
) -> None:
    completed = kgp("ingest", "radgraph", path)
    assert completed.code == 0, completed.err
    assert "2 rows read: 11 written, 0 already there, 0 rejected" in completed.out
    entity_edges = graph_with_concept_names.read(ENTITY_EDGES)
    assert [(record["i"], record["h"], record["r"], record["t"]) for record in entity_edges] == [
        ("I50414267", "Pleural effusion", "LOCATED_AT", "left lung"),
        ("I50414267", "mild", "MODIFY", "edema"),
    ]
    assert all(record["p"].keys() == {"runs"} for record in entity_edges)
    assert [tuple(record.values()) for record in graph_with_concept_names.read(REFERS)] == [
        ("Pleural effusion", "absent", "NEGATIVE", 1.0, "dictionary 2", EFFUSION),
        ("edema", "uncertain", "UNCERTAIN", 1.0, "dictionary 2", EDEMA),
        ("left lung", "present", "POSITIVE", 0.9, "dictionary 2", LUNG),
        ("left lung", "present", "POSITIVE", 0.9, "dictionary 2", LUNG),
    ]
    assert counts(graph_with_concept_names) == {"Image": 2, "Concept": 3, "Entity": 5}


def test_the_same_again_changes_nothing_and_undo_leaves_what_was_there(
    graph_with_concept_names: Graph, kgp: Kgp, path: Path
) -> None:
    digest_before = str(digest(graph_with_concept_names))
    first_load = kgp("ingest", "radgraph", path, "--json").json
    loaded_digest = str(digest(graph_with_concept_names))
    second_load = kgp("ingest", "radgraph", path, "--json").json
    assert (first_load["written"], second_load["written"], second_load["existing"]) == (11, 0, 11)
    assert second_load["run"] == first_load["run"]
    assert str(digest(graph_with_concept_names)) == loaded_digest != digest_before
    assert kgp("runs", "undo", first_load["run"]).code == 0
    assert str(digest(graph_with_concept_names)) == digest_before


def _entity_labels(graph: Graph) -> dict[str, list[str]]:
    return {entity_row["text"]: entity_row["more"] for entity_row in graph.read(LABELS)}


def test_an_entity_has_the_label_of_its_presence(graph: Graph, path: Path) -> None:
    run_id = ingest(graph, RadGraph(path)).run
    expected = {
        "Pleural effusion": ["Absent"], "edema": ["Uncertain"], "left lung": ["Present"], "mild": ["Present"]
    }  # fmt: skip
    assert _entity_labels(graph) == expected
    digest_before = str(digest(graph))
    graph.run_unmanaged(
        parse_query("t/old", "// As an older version wrote it.\nMATCH (e:Entity) REMOVE e:Absent:Present")
    )
    assert str(digest(graph)) == digest_before  # a label of presence repeats the property
    ingest(graph, RadGraph(path))
    assert _entity_labels(graph) == expected
    runs.undo(graph, run_id)
    assert _entity_labels(graph) == {}


def test_a_presence_that_no_run_asserts_any_more_takes_its_label_with_it(graph: Graph, tmp_path: Path) -> None:
    entity, image = ("Entity", "I1:m:1"), ("Image", "I1")
    nodes: dict[NodeRef, Properties] = {image: {}, entity: {"text": "edema"}}
    edges: dict[EdgeRef, Properties] = {(image, "SHOWS", entity): {}}
    ingest(graph, Handmade(tmp_path / "a", [GraphBatch(read=1, nodes=nodes, edges=edges)]))
    assert _entity_labels(graph) == {"edema": []}
    presence_nodes: dict[NodeRef, Properties] = {**nodes, entity: {"presence": "absent"}}
    second_load = ingest(graph, Handmade(tmp_path / "b", [GraphBatch(read=1, nodes=presence_nodes, edges=edges)], "b"))
    assert _entity_labels(graph) == {"edema": ["Absent"]}
    runs.undo(graph, second_load.run)
    assert _entity_labels(graph) == {"edema": []}


def test_a_lexicon_links_an_empty_graph_and_the_same_again_is_the_same_run(
    graph: Graph, kgp: Kgp, path: Path, tmp_path: Path
) -> None:
    lexicon_path = tmp_path / "names.csv"
    lexicon_path.write_text(f"cui,name,semantic_types\n{EDEMA},Edema,T046\n", encoding="utf-8")
    first_load = kgp("ingest", "radgraph", path, "--lexicon", lexicon_path, "--json").json
    second_load = kgp("ingest", "radgraph", path, "--lexicon", lexicon_path, "--json").json
    assert (first_load["run"], first_load["written"], second_load["written"]) == (second_load["run"], 8, 0)
    assert [(link_row["text"], link_row["cui"]) for link_row in graph.read(REFERS)] == [("edema", EDEMA)]


def test_loaded_again_it_is_linked_to_what_the_graph_knows_by_then(
    graph: Graph, kgp: Kgp, path: Path, tmp_path: Path
) -> None:
    first_load = kgp("ingest", "radgraph", path, "--json").json
    assert graph.read(REFERS) == []
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "medmkg", NAMES)))
    second_load = kgp("ingest", "radgraph", path, "--json").json
    assert (second_load["run"], second_load["written"]) == (first_load["run"], 4)
    assert len(graph.read(REFERS)) == 4
    assert kgp("runs", "undo", first_load["run"]).code == 0
    assert graph.read(REFERS) == []
    assert "Entity" not in counts(graph)


@pytest.mark.parametrize("option", ["--no-link", "--no-graph-names"])
def test_without_names_or_links_there_are_none(
    graph_with_concept_names: Graph, kgp: Kgp, path: Path, option: str
) -> None:
    assert kgp("ingest", "radgraph", path, option).code == 0
    assert graph_with_concept_names.read(REFERS) == []
    assert counts(graph_with_concept_names)["Entity"] == 5


def test_a_radgraph_dry_run_reports_and_writes_nothing(graph_with_concept_names: Graph, kgp: Kgp, path: Path) -> None:
    digest_before = str(digest(graph_with_concept_names))
    completed = kgp("ingest", "radgraph", path, "--dry-run")
    assert "11 would be written" in completed.out
    assert str(digest(graph_with_concept_names)) == digest_before


def test_the_registered_loader_reads_the_same(graph: Graph, kgp: Kgp, path: Path) -> None:
    assert kgp("ingest", "with", "radgraph", path).code == 0
    assert counts(graph) == {"Image": 2, "Entity": 5}


def test_damaged_graphs_go_to_the_reject_file(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    bad_entity = {**ENTITIES["1"], "relations": [["modify", CANARY]]}
    graphs_path = tmp_path / "some.json"
    graphs_path.write_text(
        json.dumps({"a": {"text": CANARY, "entities": {"1": bad_entity}}, **GRAPHS}), encoding="utf-8"
    )
    stopped_run = kgp("ingest", "radgraph", graphs_path, "--no-link")
    assert stopped_run.code == 1
    assert f"{graphs_path}, row 1: entity 1: a relation leads to an entity that does not exist" in stopped_run.err
    assert counts(graph) == {}
    skipping_run = kgp("ingest", "radgraph", graphs_path, "--no-link", "--on-error", "skip", cwd=tmp_path)
    assert skipping_run.code == 0, skipping_run.err
    assert "3 rows read: 7 written, 0 already there, 1 rejected" in skipping_run.out
    reject_lines = (tmp_path / "some.json.rejects.tsv").read_text(encoding="utf-8").splitlines()
    assert [reject_line.split("\t")[1] for reject_line in reject_lines] == ["row", "1"]
    assert not any(
        CANARY in output_text
        for output_text in (stopped_run.err, stopped_run.out, skipping_run.err, skipping_run.out, *reject_lines)
    )


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        (None, [], 1, "no such file"),
        ("{", [], 1, "not JSON in UTF-8"),
        ("[]", [], 1, "not one JSON object"),
        ("[" * 100_000, [], 1, "not JSON in UTF-8"),
        ("{}", ["--lexicon", "missing.csv"], 1, "missing.csv"),
        ("{}", ["--labeler", "0"], 2, "--labeler"),
    ],
)
def test_errors_are_one_line_and_a_hint(
    graph: Graph, kgp: Kgp, tmp_path: Path, content: str | None, options: list[str], code: int, message: str
) -> None:
    del graph
    if content is not None:
        (tmp_path / "a.json").write_text(content, encoding="utf-8")
    completed = kgp("ingest", "radgraph", tmp_path / "a.json", *options, cwd=tmp_path)
    assert (completed.code, completed.out) == (code, "")
    assert message in completed.err
    assert "Traceback" not in completed.err


def test_all_triplets_of_invented_studies_are_there(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    study_set.build_study_set(tmp_path / "p", 30, 7, images=False)
    radgraph_path = tmp_path / "p" / "truth" / "radgraph.json"
    completed = kgp("ingest", "radgraph", radgraph_path, "--lexicon", tmp_path / "p" / "ontology")
    assert completed.code == 0, completed.err
    loaded_triplets = {
        (record["i"], record["h"].lower(), record["r"].lower(), record["t"].lower())
        for record in graph.read(ENTITY_EDGES)
    }
    expected = {
        (f"I{record.name[-12:-4]}", *triplet)
        for record in read_report_graphs(radgraph_path)
        if isinstance(record, ReportGraph)
        for triplet in triplets(record)
    }
    assert loaded_triplets == expected
    assert len(graph.read(REFERS)) > 30


def test_a_load_of_two_labelers_has_the_entities_of_both(graph: Graph, tmp_path: Path) -> None:
    radgraph_path = tmp_path / "test.json"
    labelers = {"labeler_1": {"entities": {"1": ENTITIES["2"]}}, "labeler_2": {"entities": {"1": ENTITIES["4"]}}}
    radgraph_path.write_text(json.dumps({STUDY: {"text": CANARY, **labelers}}), encoding="utf-8")
    first_load = ingest(graph, RadGraph(radgraph_path))
    second_load = ingest(graph, RadGraph(radgraph_path, 2))
    assert first_load.run != second_load.run
    assert counts(graph) == {"Image": 1, "Entity": 2}
    runs.undo(graph, second_load.run)
    assert counts(graph) == {"Image": 1, "Entity": 1}
    with pytest.raises(InputError, match="labeler 3"):
        ingest(graph, RadGraph(radgraph_path, 3))
