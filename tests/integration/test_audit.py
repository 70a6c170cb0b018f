"""The audit on the released graph, where the problems are known, and on graphs with one problem each."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from kgplatform import naf, queries, stats
from kgplatform.audit import audit, audit_export, audit_split
from kgplatform.datasets import splits
from kgplatform.datasets.split_checks import Hashed, hashed_collisions
from kgplatform.errors import KgpError
from kgplatform.export.triples import Node, Triples
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.integration.constructed_graphs import STUDIES, construct_reports
from tests.integration.sources import small_rows, write_medmkg

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def released_medmkg_triples(data_dir: Path) -> Triples:
    """The released graph as an export, read from the file."""
    with (data_dir / "medmkg" / "image_mapping.csv").open(newline="", encoding="utf-8") as csv_file:
        image_paths = {mapping_row["IID"]: mapping_row["Image_Path"] for mapping_row in csv.DictReader(csv_file)}
    handles: dict[str, int] = {}
    nodes: dict[int, Node] = {}

    def node_handle(node_key: str, node_name: str) -> int:
        handle = handles.setdefault(node_key, len(handles))
        subject = re.search(r"/p(\d{8})/", image_paths.get(node_key, ""))
        is_image = node_key.startswith("I")
        nodes[handle] = (
            Node(node_key, "Image", "", subject[1] if subject else "")
            if is_image
            else Node(node_key, "Concept", node_name)
        )
        return handle

    with (data_dir / "medmkg" / "MedMKG.csv").open(newline="", encoding="utf-8") as csv_file:
        records = [
            (record["Head"], record["Head_Name"], record["Relation"], record["Tail"], record["Tail_Name"])
            for record in csv.DictReader(csv_file)
        ]
    edges = [
        (node_handle(head, head_name), relation, node_handle(tail, tail_name))
        for head, head_name, relation, tail, tail_name in records
    ]
    return Triples.build(edges, nodes)


@pytest.mark.data
def test_the_known_problems_of_the_released_graph(medmkg_graph: Graph) -> None:
    findings = audit(medmkg_graph)
    assert {finding.id: (finding.severity.value, finding.count, finding.of) for finding in findings} == {
        "KGP-A001": ("warning", 68, 20_637),
        "KGP-A002": ("warning", 929, 20_705),
        "KGP-A003": ("info", 798, 20_705),
        "KGP-A004": ("info", 1_528, 3_149),
        "KGP-A005": ("info", 1_272, 3_149),
        "KGP-A006": ("warning", 11_084, 11_084),
        "KGP-A007": ("warning", 2_392, 11_084),
        "KGP-A009": ("info", 52, 262),
        "KGP-A012": ("warning", 190, 2_785),
    }
    examples = {finding.id: finding.examples for finding in findings}
    assert examples["KGP-A002"] == ("C4049863 Impression: 926", "C4321457 Examination: 3")
    assert all(re.fullmatch(r"I\d+ C\d{7}", example) for example in examples["KGP-A001"])
    assert any(
        example.startswith("C0032227 pleural effusion (diagnosis) = C0747635, C4552777")
        for example in examples["KGP-A012"]
    )


@pytest.mark.data
def test_an_export_of_the_released_graph(released_medmkg_triples: Triples) -> None:
    assert hashed_collisions(released_medmkg_triples) == Hashed(8_017, 5_070, 262, 166)
    [collision_finding] = audit_export(released_medmkg_triples)
    assert (collision_finding.id, collision_finding.severity, collision_finding.count) == (
        "KGP-A103",
        "info",
        8_017 - 5_070,
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "paper",
            {
                "KGP-A201": ("error", 1_291, 3_539),
                "KGP-A202": ("warning", 1_347, 3_539),
                "KGP-A203": ("warning", 146, 3_212),
                "KGP-A204": ("info", 2_433, 4_138),
                "KGP-A205": ("info", 2_709, 4_868),
            },
        ),
        (
            "leakage-free",
            {
                "KGP-A203": ("warning", 172, 2_934),
                "KGP-A204": ("info", 2_454, 4_138),
                "KGP-A205": ("info", 2_702, 4_868),
            },
        ),
        ("inductive", {"KGP-A203": ("warning", 83, 813)}),
    ],
)
def test_the_splits_of_the_released_graph(
    released_medmkg_triples: Triples, kind: str, expected: dict[str, tuple[str, int, int]]
) -> None:
    findings = audit_split(splits.make(kind, released_medmkg_triples))
    assert {finding.id: (finding.severity.value, finding.count, finding.of) for finding in findings} == expected
    if kind == "paper":
        assert findings[0].title.endswith("1,264 reversed, 529 parallel")


@pytest.mark.data
def test_the_command_fails_on_what_it_is_told_to_fail_on(
    medmkg_graph: Graph, kgp: Kgp, released_medmkg_triples: Triples, tmp_path: Path
) -> None:
    export_folder, leaking_split, clean_split = (
        tmp_path / "export",
        tmp_path / "paper.parquet",
        tmp_path / "clean.parquet",
    )
    released_medmkg_triples.write(export_folder)
    splits.make("paper", released_medmkg_triples).write(leaking_split)
    splits.make("leakage-free", released_medmkg_triples).write(clean_split)
    graph_audit = kgp("audit")
    assert "checked graph: 4,868 images, 3,149 concepts, 35,387 edges; 12 rules" in graph_audit.out
    assert (graph_audit.code, graph_audit.err) == (0, "")
    assert "warning   KGP-A001      68  20,637" in graph_audit.out
    assert "error" not in graph_audit.out
    leaking_audit = kgp("audit", "--export", export_folder, "--split", leaking_split, "--json")
    assert leaking_audit.code == 1
    assert [subject["what"] for subject in leaking_audit.json["checked"]] == ["export", "split", "graph"]
    first_finding = leaking_audit.json["findings"][0]
    assert (first_finding["id"], first_finding["severity"], first_finding["count"], first_finding["of"]) == (
        "KGP-A201",
        "error",
        1_291,
        3_539,
    )
    assert first_finding.keys() == {"id", "severity", "title", "count", "of", "examples", "what_to_do"}
    assert all(len(finding["examples"]) <= 5 for finding in leaking_audit.json["findings"])
    text_audit = kgp("audit", "--export", export_folder, "--split", leaking_split, "--fail-on", "never")
    assert text_audit.code == 0
    assert (
        "KGP-A201   1,291   3,539  test triples with ends joined in training: "
        "1,264 reversed, 529 parallel" in text_audit.out
    )
    clean_audit = kgp("audit", "--export", export_folder, "--split", clean_split, "--fail-on", "warning", "--json")
    assert clean_audit.code == 1
    assert not {"KGP-A201", "KGP-A202"} & {finding["id"] for finding in clean_audit.json["findings"]}
    assert "error" not in {finding["severity"] for finding in clean_audit.json["findings"]}


def test_auditing_an_empty_graph_is_a_clear_error(graph: Graph, kgp: Kgp) -> None:
    with pytest.raises(KgpError, match="the graph is empty"):
        audit(graph)
    completed = kgp("audit", "--json")
    assert completed.code == 1
    assert "empty" in completed.json["error"]["message"]


def test_a_graph_with_one_problem_of_each_kind(graph: Graph, tmp_path: Path) -> None:
    from kgp_loaders.medmkg import MedMKG

    load_report = ingest(graph, MedMKG.find(write_medmkg(tmp_path, small_rows())))
    naf.score(graph)
    assert [finding.id for finding in audit(graph)] == ["KGP-A006"]
    graph.write(
        parse_query(
            "t/w",
            "// What other programs do to a graph.\n"
            "MATCH (i:Image {id: 'I10000000'})-[r:POSITIVE]->(c:Concept)\n"
            "MATCH (a:Concept {cui: 'C9900000'})-[:isa]->(b)\n"
            "CREATE (i)-[:POSITIVE]->(c), (i)-[:NEGATIVE]->(c), (a)-[:part_of]->(b), (a)-[:PREDICTED]->(b),\n"
            "  (i)-[:POSITIVE]->(:Concept {cui: 'C9999999', name: 'IMPRESSION'}),\n"
            "  (:Concept {cui: 'C9999998', name: 'big\\n(Qualifier value)'})<-[:POSITIVE]-(:Image {id: 'I5'})",
        )
    )
    graph.write(queries.get("ingest/outdate"))
    graph.write(queries.get("runs/undo_begin"), run=load_report.run)
    findings_by_id = {finding.id: (finding.count, finding.examples) for finding in audit(graph)}
    assert findings_by_id == {
        "KGP-A001": (1, ("I10000000 C9900000",)),
        "KGP-A002": (1, ("C9999999 IMPRESSION: 1",)),
        "KGP-A003": (1, ("C9999998 big�(Qualifier value): 1",)),
        "KGP-A004": (2, ("C9999998 big�(Qualifier value)", "C9999999 IMPRESSION")),
        "KGP-A005": (2, ("C9999998 big�(Qualifier value)", "C9999999 IMPRESSION")),
        "KGP-A006": (58, tuple(findings_by_id["KGP-A006"][1])),
        "KGP-A007": (1, ("C9900000 C9900001",)),
        "KGP-A008": (1, ("I10000000 POSITIVE C9900000",)),
        "KGP-A009": (1, ("part_of",)),
        "KGP-A010": (40, ()),
        "KGP-A011": (1, (f"{load_report.run} (undoing)",)),
    }


def test_concepts_with_a_single_meaning_are_grouped(graph: Graph) -> None:
    graph.write(
        parse_query(
            "t/m",
            "// Concepts with edges.\n// param rows list: CUI, name, types\nUNWIND $rows AS row\n"
            "MERGE (i:Image {id: 'I5'}) CREATE (:Concept {cui: row[0], name: row[1], semantic_types: row[2]})"
            "<-[:POSITIVE]-(i)",
        ),
        rows=[
            ["C4552777", "Pleural effusion", []],
            ["C0747635", "bilateral pleural effusion (diagnosis)", []],
            ["C9900001", "Zebra finding", ["Finding"]],
            ["C9900002", "finding, zebra (disorder)", []],
            ["C9900003", "Zebra finding (body structure)", []],
            ["C9900004", "Okapi", []],
            ["C9900005", "Giraffe", []],
        ],
    )
    graph.write(
        parse_query(
            "t/s",
            "// What a source calls the same.\nMATCH (a {cui: 'C9900004'}), (b {cui: 'C9900005'})\n"
            "CREATE (a)-[:same_as]->(b)",
        )
    )
    [finding] = [finding for finding in audit(graph) if finding.id == "KGP-A012"]
    assert (finding.severity, finding.count, finding.of) == ("warning", 3, 4)
    assert set(finding.examples) == {
        "C0747635 bilateral pleural effusion (diagnosis) = C4552777",
        "C9900001 Zebra finding = C9900002",
        "C9900004 Okapi = C9900005",
    }


def test_left_and_right_or_a_part_that_is_denied_are_no_conflict(graph: Graph, tmp_path: Path) -> None:
    construct_reports(
        graph,
        tmp_path,
        {
            "a": "Small right pleural effusion. No left pleural effusion.",
            "b": "Small pleural effusion. No large pleural effusion.",
            "c": "Large pleural effusion. No large pleural effusion.",
            "d": "Pleural effusion. No large pleural effusion.",
            "e": "Left pleural effusion. No pleural effusion.",
            "f": "Left pneumothorax. No left pneumothorax.",
        },
    )
    [conflict] = [finding for finding in audit(graph) if finding.id == "KGP-A001"]
    query = queries.get("explore/conflicts")
    rows = graph.read(query, **query.bind({}))
    studies = {row["id"]: row["study"] for row in graph.read(STUDIES)}
    assert sorted(studies[row["image"]] for row in rows) == ["c", "d", "e", "f"]
    assert (conflict.count, conflict.of) == (4, 6)
    assert stats.overview(graph)["conflicts"] == 4
