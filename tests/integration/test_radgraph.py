"""RadGraph's graphs on a real graph, and the queries over what models generated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.phantom import study_set
from kgp_loaders.radgraph import RadGraph, ReportGraph, read_report_graphs, triplets
from kgplatform import queries, runs
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef, Properties
from kgplatform.digest import digest
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from kgplatform.readonly import open_query
from tests.conftest import Kgp
from tests.integration.sources import Handmade, write_medmkg

pytestmark = pytest.mark.server

CANARY = "zebrafinch"
EFFUSION, LUNG, EDEMA = "C0032227", "C0024109", "C0034063"
ENTITIES = {
    "1": {
        "tokens": "Pleural effusion", "label": "OBS-DA", "start_ix": 1, "end_ix": 2, "relations": [["located_at", "2"]]
    },
    "2": {"tokens": "left lung", "label": "ANAT-DP", "start_ix": 3, "end_ix": 4, "relations": []},
    "3": {"tokens": "mild", "label": "OBS-DP", "start_ix": 6, "end_ix": 6, "relations": [["modify", "4"]]},
    "4": {"tokens": "edema", "label": "OBS-U", "start_ix": 7, "end_ix": 7, "relations": []},
}  # fmt: skip
STUDY = "p10/p10000032/s50414267.txt"
GRAPHS = {
    STUDY: {"text": f"{CANARY} pleural effusion left lung", "entities": ENTITIES},
    "elsewhere": {"text": f"{CANARY}", "entities": {"1": ENTITIES["2"]}},
}
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
def path(tmp_path: Path) -> Path:
    radgraph_path = tmp_path / "radgraph.json"
    radgraph_path.write_text(json.dumps(GRAPHS), encoding="utf-8")
    return radgraph_path


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
        ("Pleural effusion", "absent", "NEGATIVE", 1.0, "dictionary 1", EFFUSION),
        ("edema", "uncertain", "UNCERTAIN", 1.0, "dictionary 1", EDEMA),
        ("left lung", "present", "POSITIVE", 0.9, "dictionary 1", LUNG),
        ("left lung", "present", "POSITIVE", 0.9, "dictionary 1", LUNG),
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
    assert f"{graphs_path}, row 1: entity 1: a relation leads to an entity that is not there" in stopped_run.err
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


# The queries over generated triplets


class Generated:
    """A batch as `kgp generate` writes it, entity by entity."""

    def __init__(self) -> None:
        self.batch = GraphBatch(given=0)

    def edge(self, head: NodeRef, relation: str, tail: NodeRef, **properties: Any) -> EdgeRef:
        self.batch.edges[head, relation, tail] = properties
        for end_node in (head, tail):
            self.batch.nodes.setdefault(end_node, {})
        self.batch.given = len(self.batch.edges)
        return head, relation, tail

    def entity(self, image: str, model: str, number: int, **properties: Any) -> NodeRef:
        entity_node = ("Entity", f"{image}:{model}:{number}")
        self.edge(
            ("Image", image), "SHOWS", entity_node, model=model, mode={"m1": "image and report", "m2": "image"}[model]
        )
        entity_properties: Properties = properties
        self.batch.nodes[entity_node] = entity_properties
        return entity_node

    def triplet(self, image: str, model: str, number: int, head: str, relation: str, tail: str, **more: Any) -> NodeRef:
        """A triplet of two new entities; returns its head."""
        head_node = self.entity(image, model, number, text=head)
        tail_node = self.entity(image, model, number + 1, text=tail)
        self.edge(head_node, relation, tail_node, model=model, settings="ab", **more)
        return head_node


A, B, PNEUMONIA, OPACITY = "I50000001", "I50000002", "C0032285", "C0029053"


@pytest.fixture
def generated(graph: Graph, tmp_path: Path) -> Graph:
    """Two images with stances; what m1 wrote of them with their reports (whose stances its entities have), m2 without;
    and a RadGraph graph, which no query may count.
    """
    generation = Generated()
    for image_id, stance, cui in (
        (A, "NEGATIVE", EFFUSION), (A, "POSITIVE", EDEMA), (A, "UNCERTAIN", PNEUMONIA), (B, "POSITIVE", EFFUSION),
        (B, "NEGATIVE", EFFUSION), (B, "NEGATIVE", EDEMA),
    ):  # fmt: skip
        generation.edge(("Image", image_id), stance, ("Concept", cui))
    for cui, concept_name in ((EFFUSION, "effusion"), (EDEMA, "edema"), (PNEUMONIA, "pneumonia"), (OPACITY, "opacity")):
        generation.batch.nodes["Concept", cui] = {"name": concept_name}
    generation.edge(("Concept", PNEUMONIA), "has_manifestation", ("Concept", OPACITY))
    first_effusion = generation.triplet(A, "m1", 1, "effusion", "LOCATED_AT", "lung", score=0.9, grounded=False)
    generation.edge(first_effusion, "REFERS_TO", ("Concept", EFFUSION), score=1.0, method="m", stance="NEGATIVE")
    generation.batch.nodes[first_effusion] = {**generation.batch.nodes[first_effusion], "presence": "absent"}
    edema_entity = generation.triplet(A, "m1", 3, "edema", "LOCATED_AT", "lung", score=0.8, grounded=True)
    generation.edge(edema_entity, "REFERS_TO", ("Concept", EDEMA), score=0.9, method="m", stance="POSITIVE")
    opacity_entity = generation.triplet(A, "m1", 5, "opacity", "SUGGESTIVE_OF", "pneumonia", score=0.3)
    generation.edge(opacity_entity, "REFERS_TO", ("Concept", OPACITY), score=1.0, method="m")
    second_effusion = generation.triplet(A, "m2", 1, "Effusion", "LOCATED_AT", "lung", score=0.95, grounded=False)
    generation.edge(second_effusion, "REFERS_TO", ("Concept", EFFUSION), score=1.0, method="m")
    for image_id in (A, B):
        unsure_edema = generation.triplet(image_id, "m2", 3, "edema", "LOCATED_AT", "lung", score=0.5)
        generation.edge(unsure_edema, "REFERS_TO", ("Concept", EDEMA), score=0.7, method="m")
    ambiguous_entity = generation.triplet(B, "m2", 5, "effusion", "MODIFY", "thing", score=0.5)
    generation.edge(ambiguous_entity, "REFERS_TO", ("Concept", EFFUSION), score=0.7, method="m")
    lone_entity = generation.entity(B, "m1", 1, text="edema")  # of which the report's rules tell nothing
    generation.edge(lone_entity, "REFERS_TO", ("Concept", EDEMA), score=0.7, method="m")
    generation.batch.read = len(generation.batch.edges)
    ingest(graph, Handmade(tmp_path / "generated", [generation.batch]))
    radgraph_path = tmp_path / "theirs.json"
    radgraph_graphs = {"p10/p10000001/s50000001.txt": GRAPHS[STUDY]}
    radgraph_path.write_text(json.dumps(radgraph_graphs), encoding="utf-8")
    ingest(graph, RadGraph(radgraph_path))
    return graph


def _explore_rows(graph: Graph, name: str, *columns: str, **parameters: Any) -> list[tuple[Any, ...]]:
    named_query = queries.get(f"explore/{name}")
    with open_query(graph, named_query.text, named_query.bind(parameters)) as answer:
        records = list(answer)
    return [tuple(record[column] for column in columns) for record in records]


def test_the_generated_triplets_of_an_image(generated: Graph) -> None:
    columns = ("image", "model", "head", "relation", "tail", "score", "grounded")
    presences = _explore_rows(generated, "generated_triplets", "head", "head_presence", "tail_presence", limit=1)
    assert presences == [("effusion", "absent", None)]
    triplet_rows = _explore_rows(generated, "generated_triplets", *columns)  # A has most generated entities
    assert triplet_rows == [
        (A, "m1", "effusion", "located_at", "lung", 0.9, False),
        (A, "m1", "edema", "located_at", "lung", 0.8, True),
        (A, "m1", "opacity", "suggestive_of", "pneumonia", 0.3, None),
        (A, "m2", "Effusion", "located_at", "lung", 0.95, False),
        (A, "m2", "edema", "located_at", "lung", 0.5, None),
    ]
    assert _explore_rows(generated, "generated_triplets", *columns, model="m2") == triplet_rows[3:]
    assert _explore_rows(generated, "generated_triplets", *columns, limit=1) == triplet_rows[:1]
    assert {triplet_row[0] for triplet_row in _explore_rows(generated, "generated_triplets", *columns, image=B)} == {B}


def test_what_was_seen_is_drawn_with_what_it_means_and_what_the_report_says(generated: Graph) -> None:
    named_query = queries.get("explore/generated_subgraph")
    with open_query(generated, named_query.text, named_query.bind({"image": A})) as answer:
        records = list(answer)
    paths = [
        record[column]
        for record in records
        for column in ("shown", "triplet", "meaning", "stance")
        if record[column] is not None
    ]
    edge_types = {edge["type"] for path in paths for edge in path["relationships"]}
    assert edge_types == {"SHOWS", "LOCATED_AT", "SUGGESTIVE_OF", "REFERS_TO", "NEGATIVE", "POSITIVE"}
    image_ids = {node["properties"]["id"] for path in paths for node in path["nodes"] if "Image" in node["labels"]}
    assert image_ids == {A}
    with open_query(generated, named_query.text, named_query.bind({"image": A, "limit": 1})) as answer:
        assert len(list(answer)) == 1


def test_what_was_seen_beside_what_was_said(generated: Graph) -> None:
    columns = ("model", "verdict", "concept", "seen", "said")
    verdict_rows = _explore_rows(generated, "seen_and_said", *columns)
    assert verdict_rows == [
        ("m1", "agree", "effusion", ["NEGATIVE"], ["NEGATIVE"]),
        ("m1", "agree", "edema", ["POSITIVE"], ["POSITIVE"]),
        ("m1", "only said", "pneumonia", [], ["UNCERTAIN"]),
        ("m1", "only seen", "opacity", [], []),
        ("m2", "agree", "edema", ["POSITIVE"], ["POSITIVE"]),
        ("m2", "differ", "effusion", ["POSITIVE"], ["NEGATIVE"]),
        ("m2", "only said", "pneumonia", [], ["UNCERTAIN"]),
    ]
    assert _explore_rows(generated, "seen_and_said", *columns, model="m1") == verdict_rows[:4]
    assert _explore_rows(generated, "seen_and_said", "concept", "presence", limit=1) == [("effusion", ["absent"])]
    assert _explore_rows(generated, "seen_and_said", *columns, image=B) == [
        ("m1", "no stance", "edema", [], ["NEGATIVE"]),
        ("m1", "only said", "effusion", [], ["NEGATIVE", "POSITIVE"]),
        ("m2", "agree", "effusion", ["POSITIVE"], ["NEGATIVE", "POSITIVE"]),
        ("m2", "differ", "edema", ["POSITIVE"], ["NEGATIVE"]),
    ]


def test_generated_findings_that_the_report_rules_out(generated: Graph) -> None:
    columns = ("image", "concept", "model", "mode", "seen", "link_score")
    contradictions = _explore_rows(generated, "generated_contradictions", *columns)
    assert contradictions == [  # of B's effusion the report says both
        (A, "effusion", "m1", "image and report", ["effusion"], 1.0),  # located where the report does not say
        (A, "effusion", "m2", "image", ["Effusion"], 1.0),
        (B, "edema", "m2", "image", ["edema"], 0.7),
    ]
    assert _explore_rows(generated, "generated_contradictions", *columns, model="m1") == contradictions[:1]
    assert _explore_rows(generated, "generated_contradictions", "presence", model="m1") == [(["absent"],)]


def test_generated_findings_one_step_from_what_the_report_names(generated: Graph) -> None:
    columns = ("image", "model", "generated", "relations", "known", "stance")
    expected = [(A, "m1", "opacity", ["← has_manifestation"], "pneumonia", "UNCERTAIN")]
    assert _explore_rows(generated, "one_step_from_known", *columns) == expected
    assert _explore_rows(generated, "one_step_from_known", *columns, image=A) == expected
    assert _explore_rows(generated, "one_step_from_known", *columns, image=B) == []
    assert _explore_rows(generated, "one_step_from_known", *columns, model="m2") == []


def test_which_models_agree_on_a_triplet(generated: Graph) -> None:
    assert _explore_rows(generated, "model_agreement", "head", "relation", "tail", "agree", "models") == [
        ("edema", "located_at", "lung", 2, ["m1", "m2"]),
        ("effusion", "located_at", "lung", 2, ["m1", "m2"]),
        ("opacity", "suggestive_of", "pneumonia", 1, ["m1"]),
    ]


def test_triplets_that_the_report_does_not_support(generated: Graph) -> None:
    columns = ("image", "model", "head", "relation", "tail", "score")
    triplet_rows = _explore_rows(generated, "ungrounded", *columns)
    assert triplet_rows == [
        (A, "m2", "Effusion", "located_at", "lung", 0.95),
        (A, "m1", "effusion", "located_at", "lung", 0.9),
    ]
    assert _explore_rows(generated, "ungrounded", *columns, model="m1") == triplet_rows[1:]
    assert _explore_rows(generated, "ungrounded", "head_presence", "tail_presence", model="m1") == [("absent", None)]
    assert _explore_rows(generated, "ungrounded", *columns, image=B) == []


def test_a_graph_without_generated_triplets_has_no_rows(graph: Graph, path: Path) -> None:
    ingest(graph, RadGraph(path))
    for query_name in (
        "generated_triplets", "seen_and_said", "generated_contradictions", "one_step_from_known", "model_agreement",
        "ungrounded", "generated_subgraph",
    ):  # fmt: skip
        assert _explore_rows(graph, query_name) == []
