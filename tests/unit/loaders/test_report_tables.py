"""Tables of reports as other programs write them: orientations of JSON, separators, lines before the header, ids."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.json_rows import json_documents
from kgp_loaders.radgraph import ReportGraph, read_report_graphs
from kgp_loaders.reports import DECIMAL_ID, ROUNDED_ID, Reports
from kgplatform.batches import Reject
from kgplatform.construct.report import Report
from kgplatform.errors import InputError

ROWS = [{"id": "1", "findings": "Effusion."}, {"id": "2", "findings": "Edema."}]
EXPECTED = [("1", {"findings": "Effusion."}), ("2", {"findings": "Edema."})]
JSON_FORMS: dict[str, Any] = {
    "records": ROWS,
    "columns": {"id": {"0": "1", "1": "2"}, "findings": {"0": "Effusion.", "1": "Edema."}},
    "columns as lists": {"id": ["1", "2"], "findings": ["Effusion.", "Edema."]},
    "split": {"columns": ["id", "findings"], "index": [0, 1], "data": [["1", "Effusion."], ["2", "Edema."]]},
    "index": {"0": ROWS[0], "1": ROWS[1]},
    "index that is the id": {"1": {"findings": "Effusion."}, "2": {"findings": "Edema."}},
    "table": {"schema": {"fields": [{"name": "id"}], "primaryKey": ["id"]}, "data": ROWS},
    "below a name": {"reports": ROWS},
}


def read_table(path: Path, content: str | bytes) -> tuple[list[tuple[str, dict[str, str]]], list[Reject], Reports]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = Reports(path)
    records = list(source.reports())
    reports = [(record.study, dict(record.sections)) for record in records if isinstance(record, Report)]
    return reports, [record for record in records if isinstance(record, Reject)], source


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("form", JSON_FORMS)
def test_each_orientation_of_json_gives_the_same_reports(tmp_path: Path, form: str, indent: int | None) -> None:
    reports, rejects, _ = read_table(tmp_path / "a.json", json.dumps(JSON_FORMS[form], indent=indent))
    assert (reports, rejects) == (EXPECTED, [])


def test_objects_over_several_lines_each_are_read(tmp_path: Path) -> None:
    pretty_rows = "\n".join(json.dumps(row, indent=2) for row in ROWS)
    assert read_table(tmp_path / "a.jsonl", pretty_rows)[0] == EXPECTED
    assert read_table(tmp_path / "a.json", json.dumps(ROWS[0], indent=2))[0] == EXPECTED[:1]


@pytest.mark.parametrize(
    "record",
    [
        {"id": "1", "report": {"findings": "Effusion.", "impression": "Edema."}},
        {"id": "1", "sections": {"Findings": "Effusion.", "IMPRESSION": "Edema."}},
        {"study": {"id": "1"}, "report": {"findings": "Effusion.", "impression": "Edema."}},
        {"study": {"id": "1", "report": {"text": "FINDINGS: Effusion.\nIMPRESSION: Edema."}}},
        {"id": "1", "patient": {"id": "7"}, "report": {"text": "FINDINGS: Effusion.\nIMPRESSION: Edema."}},
        {"id": "1", "report": {"id": "9", "findings": "Effusion."}, "impression": "Edema."},
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_objects_within_an_object_are_its_columns(tmp_path: Path, record: dict[str, Any], count: int) -> None:
    other_record = json.loads(json.dumps(record).replace('"1"', '"2"'))
    records = [record, other_record][:count]
    reports, rejects, _ = read_table(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
    assert not rejects
    sections = {"findings": "Effusion.", "impression": "Edema."}
    assert reports == [("1", sections), ("2", sections)][:count]


def test_a_row_of_another_length_or_kind_costs_itself(tmp_path: Path) -> None:
    table = {"columns": ["id", "findings"], "data": [["1", "Effusion."], ["2"], 5]}
    reports, rejects, _ = read_table(tmp_path / "a.json", json.dumps(table))
    assert reports == EXPECTED[:1]
    assert [(reject.row, reject.reason) for reject in rejects] == [
        (2, "the entry is not a JSON object"),
        (3, "the entry is not a JSON object"),
    ]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
@pytest.mark.parametrize(
    "before",
    ["", "\ufeff", "# exported by a system, 2024\n# by nobody\n", "Export of ward 3\n\n", "\n\n", "Reports{0}\n"],
)
def test_any_usual_separator_and_lines_before_the_header(tmp_path: Path, sign: str, suffix: str, before: str) -> None:
    lines = [f"id{sign}findings", f"1{sign}Effusion.", f"2{sign}Edema."]
    reports, rejects, _ = read_table(tmp_path / f"a{suffix}", before.format(sign) + "\n".join(lines) + "\n")
    assert (reports, rejects) == (EXPECTED, [])


@pytest.mark.parametrize(
    ("name", "content"), [("a.xlsx", b"PK\x03\x04" + b"\0" * 100), ("a.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 100)]
)
def test_a_workbook_is_one_clear_line_that_says_to_save_it_as_csv(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(InputError, match="Excel workbook") as raised:
        read_table(tmp_path / name, content)
    assert raised.value.hint is not None
    assert "CSV" in raised.value.hint


@pytest.mark.parametrize(
    ("study_id", "remark"),
    [
        ("5.0414267E7", ROUNDED_ID),
        ("5.04E+07", ROUNDED_ID),
        ("1E+05", ROUNDED_ID),
        ("5,04E+07", ROUNDED_ID),
        ("50414267.0", DECIMAL_ID),
        ("50414267", None),
        ("1.2.840.113619", None),
        ("5e12", None),
        ("a1.0", None),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_id_that_a_spreadsheet_has_changed_is_counted(
    tmp_path: Path, study_id: str, remark: str | None, form: str
) -> None:
    text = f'id,text\n"{study_id}",Effusion.\n' if form == "csv" else json.dumps({"id": study_id, "text": "Effusion."})
    reports, rejects, source = read_table(tmp_path / f"a.{form}", text)
    assert ([study for study, _ in reports], rejects) == ([study_id], [])
    assert dict(source.remarks) == ({} if remark is None else {remark: 1})


@pytest.mark.parametrize("study_id", ["#REF!", "#VALUE!", "#NAME?", "########", "#N/A"])
def test_a_spreadsheets_error_is_no_id(tmp_path: Path, study_id: str) -> None:
    reports, [reject], _ = read_table(tmp_path / "a.csv", f"id,text\n{study_id},Effusion.\n")
    assert not reports
    assert reject.row == 2


@pytest.mark.parametrize("column", ["findings", "impression"])
def test_what_an_export_left_in_a_column_is_no_part_of_its_text(tmp_path: Path, column: str) -> None:
    [(_, sections)], _, _ = read_table(tmp_path / "a.csv", f"id,{column}\n1,previously<BR>described&nbsp;mass_x000D_\n")
    assert sections == {column: "previously\ndescribed mass\n"}


DOCUMENT = {"doc_key": "a", "sentences": [["Small", "effusion"]], "ner": [[[1, 1, "OBS-DP"]]], "relations": [[]]}


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(json.dumps(DOCUMENT | {"doc_key": name}) for name in "ab"),
        "\n".join(json.dumps(DOCUMENT | {"doc_key": name}, indent=2) for name in "ab"),
        "\ufeff" + "\n".join(json.dumps(DOCUMENT | {"doc_key": name}, indent=1) for name in "ab"),
        json.dumps([DOCUMENT | {"doc_key": name} for name in "ab"]),
        json.dumps([DOCUMENT | {"doc_key": name} for name in "ab"], indent=2),
    ],
    ids=["lines", "pretty", "byte-order mark", "list", "pretty list"],
)
def test_dygie_documents_may_take_several_lines(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    graphs = list(read_report_graphs(tmp_path / "a.json"))
    assert [graph.name for graph in graphs if isinstance(graph, ReportGraph)] == ["a", "b"]


@pytest.mark.parametrize("piece", ["{", "[", '{"a":', "[]", "{} ", '"', "[{}, "])
def test_hostile_json_takes_time_in_proportion_to_its_length(tmp_path: Path, piece: str) -> None:
    def seconds(length: int) -> float:
        (tmp_path / "a.json").write_text(piece * (length // len(piece)), encoding="utf-8")
        start_time = time.process_time()
        try:
            list(Reports(tmp_path / "a.json").reports())
            list(json_documents((tmp_path / "a.json").read_text(encoding="utf-8")))
        except (InputError, ValueError, RecursionError):
            pass
        return time.process_time() - start_time

    assert min(seconds(80_000), seconds(80_001)) < 8 * min(seconds(20_000), seconds(20_001)) + 0.05
