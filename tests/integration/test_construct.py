"""Construction on a real graph: reports in, stances with evidence out, again and again the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from tests.conftest import Kgp
from tests.unit.loaders.test_umls import conso, rel, write_umls_release

pytestmark = pytest.mark.server

CANARY = "zebrafinch"
REPORTS = [
    ("1", f"The {CANARY} lungs show a small pleural effusion. No pneumothorax.", "Possible pneumonia."),
    ("2", "Heart is mildly enlarged.", "No effusion. Cardiomegaly."),
    ("3", "", ""),
    ("4", "No effusion.", "Effusion cannot be excluded."),
]
EDGES = parse_query(
    "t/e",
    "// All stances.\nMATCH (i:Image)-[r]->(c:Concept) RETURN i.id AS i, type(r) AS r, c.cui AS c, r.evidence AS e "
    "ORDER BY i, c, r",
)


@pytest.fixture
def openi_reports_folder(tmp_path: Path) -> Path:
    openi_folder = tmp_path / "openi"
    openi_folder.mkdir()
    with (openi_folder / "indiana_reports.csv").open("w", newline="", encoding="utf-8") as csv_file:
        csv.writer(csv_file).writerows([("uid", "findings", "impression"), *REPORTS])
    with (openi_folder / "indiana_projections.csv").open("w", newline="", encoding="utf-8") as csv_file:
        image_rows = [(report_uid, f"{report_uid}.png", "Frontal") for report_uid, *_ in REPORTS]
        csv.writer(csv_file).writerows([("uid", "filename", "projection"), *image_rows])
    return openi_folder


def _stance_edges(graph: Graph) -> list[tuple[str, str, str]]:
    return [(edge_row["i"], edge_row["r"], edge_row["c"]) for edge_row in graph.read(EDGES)]


EXPECTED = [
    ("I1", "POSITIVE", "C0024109"),
    ("I1", "POSITIVE", "C0032227"),
    ("I1", "UNCERTAIN", "C0032285"),
    ("I1", "NEGATIVE", "C0032326"),
    ("I2", "POSITIVE", "C0018800"),
    ("I2", "NEGATIVE", "C0032227"),
    ("I4", "NEGATIVE", "C0032227"),
    ("I4", "UNCERTAIN", "C0032227"),
]


def test_reports_become_stances_with_evidence(graph: Graph, kgp: Kgp, openi_reports_folder: Path) -> None:
    completed = kgp("construct", "run", "openi", str(openi_reports_folder))
    assert completed.code == 0, completed.err
    assert "4 reports read, 0 rejected: 8 edges written, 0 already there" in completed.out
    assert _stance_edges(graph) == EXPECTED
    sections_by_uid = {
        report_uid: {"findings": findings, "impression": impression} for report_uid, findings, impression in REPORTS
    }
    for edge_row in graph.read(EDGES):
        for evidence in map(json.loads, edge_row["e"]):
            phrase = sections_by_uid[edge_row["i"][1:]][evidence["section"]][evidence["start"] : evidence["end"]]
            assert edge_row["c"] == evidence["candidates"][0][0]
            assert phrase.lower().split()[-1] in (
                "lungs", "effusion", "pneumonia", "pneumothorax", "enlarged", "cardiomegaly"
            )  # fmt: skip


def test_findings_have_attributes_and_history_is_the_patients(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    text = "Small right pleural effusion. No left pleural effusion. No large pneumothorax. History of sarcoidosis."
    (tmp_path / "r.csv").write_text(f"id,findings\n1,{text}\n", encoding="utf-8")
    assert kgp("construct", "run", "reports", str(tmp_path / "r.csv")).code == 0
    query = parse_query(
        "t/p",
        "// All.\nMATCH (i:Image)-[r]->(c:Concept) RETURN type(r) AS stance, c.name AS name, properties(r) AS p, "
        "i.history AS history",
    )
    rows = {(row["stance"], row["name"]): row for row in graph.read(query)}
    assert set(rows) == {
        ("POSITIVE", "Pleural effusion"),
        ("NEGATIVE", "Pleural effusion"),
        ("NEGATIVE", "Pneumothorax"),
    }
    shown = rows["POSITIVE", "Pleural effusion"]["p"]
    denied = rows["NEGATIVE", "Pleural effusion"]["p"]
    pneumothorax = rows["NEGATIVE", "Pneumothorax"]["p"]
    assert (shown["side"], shown["severity"], denied["side"], "only" in denied) == ("right", "small", "left", False)
    assert (pneumothorax["severity"], pneumothorax["only"]) == ("large", ["large"])
    assert rows["NEGATIVE", "Pneumothorax"]["history"] == ["Sarcoidosis (C0036202)"]


def test_the_same_again_changes_nothing_and_undo_takes_all_out(
    graph: Graph, kgp: Kgp, openi_reports_folder: Path
) -> None:
    first_run = kgp("construct", "run", "openi", str(openi_reports_folder), "--json").json
    second_run = kgp("construct", "run", "openi", str(openi_reports_folder), "--json").json
    assert (first_run["written"], second_run["written"], second_run["existing"]) == (8, 0, 8)
    assert first_run["run"] == second_run["run"]
    assert kgp("runs", "undo", first_run["run"]).code == 0
    assert _stance_edges(graph) == []


def test_a_construction_dry_run_reports_and_writes_nothing(graph: Graph, kgp: Kgp, openi_reports_folder: Path) -> None:
    completed = kgp("construct", "run", "openi", str(openi_reports_folder), "--dry-run")
    assert "8 edges would be written" in completed.out
    assert _stance_edges(graph) == []


def test_explain_shows_the_sentence_with_phrase_and_cue(graph: Graph, kgp: Kgp, openi_reports_folder: Path) -> None:
    kgp("construct", "run", "openi", str(openi_reports_folder))
    without_reports = kgp("construct", "explain", "I1", "C0032326")
    assert "NEGATIVE" in without_reports.out
    assert "pneumothorax." not in without_reports.out
    with_reports = kgp("construct", "explain", "I1", "C0032326", "--reports", "openi", str(openi_reports_folder))
    assert "findings: {No} [pneumothorax]." in with_reports.out
    explanation = kgp(
        "construct", "explain", "I4", "C0032227", "--reports", "openi", str(openi_reports_folder), "--json"
    ).json
    assert [edge["evidence"][0]["sentence"] for edge in explanation["edges"]] == [
        "{No} [effusion].",
        "[Effusion] {cannot be excluded}.",
    ]


def test_explain_of_what_is_not_there_is_a_clear_error(graph: Graph, kgp: Kgp, openi_reports_folder: Path) -> None:
    kgp("construct", "run", "openi", str(openi_reports_folder))
    failed_run = kgp("construct", "explain", "I1", "C0000001")
    assert failed_run.code == 1
    assert "no concept is named C0000001" in failed_run.err
    for swapped_run in (kgp("construct", "explain", "C0032227", "I1"), kgp("naf", "explain", "c0032227")):
        assert (swapped_run.code, "is of the form of a concept's CUI" in swapped_run.err) == (1, True), swapped_run.err
        assert "Did you mean" not in swapped_run.err


def test_no_word_of_a_report_is_in_the_graph_or_told(graph: Graph, kgp: Kgp, openi_reports_folder: Path) -> None:
    completed = kgp("construct", "run", "openi", str(openi_reports_folder))
    full_query = parse_query(
        "t/a", "// All.\nMATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN properties(n) AS n, properties(r) AS r"
    )
    graph_rows: list[Any] = [dict(graph_row) for graph_row in graph.read(full_query)]
    for output_text in (completed.out, completed.err, str(graph_rows)):
        assert CANARY not in output_text


def test_a_lexicon_of_ones_own_is_used_and_its_bad_rows_are_told(
    graph: Graph, kgp: Kgp, openi_reports_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.csv").write_text(f"cui,name\nC9900001,{CANARY}\nX1,bad\nC9900002,\n", encoding="utf-8")
    completed = kgp("construct", "run", "openi", str(openi_reports_folder), "--lexicon", str(tmp_path / "own.csv"))
    assert "1 row left out, the first of them row 3: the CUI is not C and 7 digits" in completed.err
    assert ("I1", "POSITIVE", "C9900001") in _stance_edges(graph)


def test_an_ontology_gives_names_types_and_the_relations_between_what_was_found(
    graph: Graph, kgp: Kgp, openi_reports_folder: Path, tmp_path: Path
) -> None:
    name_rows = [conso("C9900001", CANARY), conso("C9900002", "small"), conso("C9900004", "x")]
    relation_rows = [
        rel("C9900001", "C0032227", "sings_of"),
        rel("C0032227", "C9900001", "sung_by"),
        rel("C9900001", "C9900004", "isa"),
    ]
    write_umls_release(
        tmp_path,
        name_rows,
        ["C9900001|T033|A2|Finding|AT1||", "C9900002|T080|A2|Qualitative Concept|AT2||"],
        relation_rows,
    )
    completed = kgp("construct", "run", "openi", str(openi_reports_folder), "--lexicon", str(tmp_path))
    assert "4 reports and 2 relations read, 0 rejected: 11 edges written" in completed.out, completed.err
    relation_query = parse_query(
        "t/r", "// All.\nMATCH (h:Concept)-[r]->(t:Concept) RETURN h.cui AS h, type(r) AS r, t.cui AS t ORDER BY r"
    )
    assert [tuple(relation_row.values()) for relation_row in graph.read(relation_query)] == [
        ("C0032227", "sings_of", "C9900001"),
        ("C9900001", "sung_by", "C0032227"),
    ]
    assert ("I1", "POSITIVE", "C9900001") in _stance_edges(graph)
    assert not any(cui == "C9900002" for _, _, cui in _stance_edges(graph))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing", "."], 2, "there is no loader of reports called nothing"),
        (["openi", "."], 1, "there are no OpenI reports here"),
        (["openi", "OPENI", "--lexicon", "missing.csv"], 1, "missing.csv"),
        (["openi", "OPENI", "--on-error", "shrug"], 2, "on-error"),
    ],
)
def test_wrong_construct_arguments_are_a_single_clear_line(
    graph: Graph, kgp: Kgp, openi_reports_folder: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    folder_paths = {"OPENI": str(openi_reports_folder), ".": str(tmp_path)}
    completed = kgp("construct", "run", *(folder_paths.get(argument, argument) for argument in arguments))
    assert completed.code == code
    assert message in completed.err
    assert "Traceback" not in completed.err


def test_reports_without_a_finding_make_no_graph_and_that_is_an_error(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("id,findings\n1,Nothing to tell.\n", encoding="utf-8")
    completed = kgp("construct", "run", "reports", str(tmp_path / "r.csv"))
    assert completed.code == 1
    assert "there is nothing to load: 1 report read; 1 report in which no concept was found" in completed.err
    assert graph.read(queries.get("runs/list")) == []
    assert _stance_edges(graph) == []
