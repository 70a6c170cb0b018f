"""Reports of any origin, and the sections of a report in free text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.reports import Reports
from kgplatform.batches import Reject
from kgplatform.construct.report import Report
from kgplatform.construct.sections import sections, split_sections
from kgplatform.errors import InputError
from kgplatform.schema import IMAGE_ID, image_id

FREE = "FINAL REPORT\n INDICATION: cough\n\n FINDINGS:\n No effusion.\n Heart normal.\n\n IMPRESSION:\n Normal."


def _read_reports(path: Path, content: str | bytes) -> tuple[list[Report], list[Reject]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    records = list(Reports(path).reports())
    return [record for record in records if isinstance(record, Report)], [
        record for record in records if isinstance(record, Reject)
    ]


def test_a_csv_with_texts_of_several_lines(tmp_path: Path) -> None:
    csv_text = 'id,text,image,subject\na,"' + FREE + '",1.png,7\nb,No effusion.,,\n'
    [first_report, second_report], rejects = _read_reports(tmp_path / "ward.csv", csv_text)
    assert not rejects
    assert first_report.sections == {"findings": "No effusion.\n Heart normal.", "impression": "Normal."}
    assert first_report.image == {"dataset": "ward", "study_id": "a", "path": "1.png", "subject_id": "7"}
    assert second_report.sections == {"findings": "No effusion."}
    assert first_report.image_id == image_id("ward", "a") != image_id("ward2", "a")
    assert IMAGE_ID.fullmatch(first_report.image_id)


def test_excels_separator_line_applies_to_report_tables(tmp_path: Path) -> None:
    [report], [reject] = _read_reports(
        tmp_path / "ward.csv", 'sep=;\r\nid;text\r\na;"No effusion;\r\nnormal, all"\r\nb\r\n'
    )
    assert report.sections == {"findings": "No effusion;\nnormal, all"}
    assert reject.row == 5


def test_json_lines_with_sections_of_their_own(tmp_path: Path) -> None:
    records = [{"id": 5, "findings": "x", "impression": "y", "view": "AP"}, {"id": "6", "text": FREE, "image": None}]
    reports, rejects = _read_reports(tmp_path / "ward.jsonl", "\n".join(map(json.dumps, records)) + "\n\n")
    assert not rejects
    assert [report.study for report in reports] == ["5", "6"]
    assert reports[0].sections == {"findings": "x", "impression": "y"}
    assert reports[0].image["view"] == "AP"


@pytest.mark.parametrize(
    ("name", "content", "row", "reason"),
    [
        ("a.csv", "id,text\nx,a\nx,b\n", 3, "earlier row"),
        ("a.csv", "id,text\n,a\n", 2, "the id must be"),
        ("a.csv", 'id,text\n"a","b\nc"\nx\n', 4, "1 values, where the header has 2"),
        ("a.jsonl", '{"id": "1", "text": "a"}\nnot json\n', 2, "not JSON"),
        ("a.jsonl", "[1]\n", 1, "not a JSON object"),
        ("a.jsonl", '{"id": "1", "text": "a"}\n[1]\n', 2, "not a JSON object"),
        ("a.jsonl", '{"id": "1", "text": ["a"]}\n', 1, "neither text nor"),
        ("a.jsonl", "{" * 100_000 + "\n", 1, "not JSON"),
        ("a.csv", "id,text\n5.04E+07,a\n5.04E+07,b\n", 3, "earlier row: a spreadsheet has rounded it"),
    ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, name: str, content: str, row: int, reason: str) -> None:
    _, [rejected] = _read_reports(tmp_path / name, content)
    assert rejected.row == row
    assert reason in rejected.reason


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a,b\n1,2\n",
        "id,image\n1,2\n",
        "id,text,text\n1,a,b\n",
    ],
)
def test_a_file_that_is_none_is_an_input_error(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(InputError):
        _read_reports(tmp_path / "a.csv", content)


EFFUSION, EDEMA = {"findings": "Effusion."}, {"impression": "Edema."}
TABLES = {
    "missing values are empty": ("a.csv", "id,findings,impression\n1,nan,Edema.\n2,None,N/A\n", [EDEMA, {}]),
    "a text and a column of a section": (
        "a.csv",
        'id,text,impression\n1,"FINDINGS: Effusion.\nIMPRESSION: Effusion.",Edema.\n2,FINDINGS: Effusion.,\n',
        [EFFUSION | EDEMA, EFFUSION],
    ),
    "the last paragraph where there is no section": (
        "a.csv",
        "study,impression,findings,last_paragraph\n1,,,Effusion.\n2,Edema.,,Effusion.\n",
        [EFFUSION, EDEMA],
    ),
    "capitals": ("a.jsonl", '{"ID": "1", "IMPRESSION": "Edema."}', [EDEMA]),
    "NaN and null": (
        "a.jsonl",
        '{"id": "1", "findings": NaN, "impression": "Edema."}\n{"id": 2, "findings": null, "text": ""}',
        [EDEMA, {}],
    ),
    "a list": (
        "a.json",
        '[{"id": "1", "findings": "Effusion."},\n {"id": "2", "impression": "Edema."}]',
        [EFFUSION, EDEMA],
    ),
    "two columns of one role": ("a.csv", "id,report,text\n1,FINDINGS: a,FINDINGS: Effusion.\n", [EFFUSION]),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_as_users_have_them(tmp_path: Path, table: str) -> None:
    file_name, content, expected = TABLES[table]
    reports, rejects = _read_reports(tmp_path / file_name, content)
    assert not rejects
    assert [report.sections for report in reports] == expected
    assert [report.has_text for report in reports] == [bool(report_sections) for report_sections in expected]


@pytest.mark.parametrize("header", ["Study ID,Report Text", "study-id,report-text", "StudyID,ReportText", "ID,TEXT"])
def test_columns_are_recognised_however_their_words_are_joined(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\ns1,FINDINGS: a\n\n\n", encoding="utf-8")
    names = header.split(",")
    (tmp_path / "a.jsonl").write_text(
        json.dumps(dict(zip(names, ("s1", "FINDINGS: a"), strict=True))), encoding="utf-8"
    )
    for name in ("a.csv", "a.jsonl"):
        [report] = Reports(tmp_path / name).reports()
        assert isinstance(report, Report)
        assert (report.study, report.sections) == ("s1", {"findings": "a"})


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("study_id,Study ID,text\n1,2,FINDINGS: a\n", encoding="utf-8")
    with pytest.raises(InputError, match="two columns are recognised as the same"):
        list(Reports(tmp_path / "a.csv").reports())


def test_a_whole_number_is_an_id_without_its_decimal_point(tmp_path: Path) -> None:
    [report], _ = _read_reports(tmp_path / "a.jsonl", '{"id": 50414267.0, "text": "FINDINGS: a"}')
    assert report.study == "50414267"
    _, [rejected] = _read_reports(tmp_path / "a.jsonl", '{"id": 1.5, "text": "FINDINGS: a"}')
    assert rejected.reason == "a value is neither text nor a whole number"


@pytest.mark.parametrize("content", ['{"id": "1", "note_body": "a"}\n' * 2, '[{"id": "1", "note_body": "a"}]'])
def test_json_without_a_column_of_text_is_an_error_that_names_the_columns(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="no column is recognised as text") as error:
        _read_reports(tmp_path / "a.json", content)
    assert error.value.hint is not None
    assert "id, note_body" in error.value.hint


def test_a_report_without_a_known_section_has_text(tmp_path: Path) -> None:
    [report], _ = _read_reports(tmp_path / "a.csv", "id,text\n1,INDICATION: cough\n")
    assert (report.sections, report.has_text) == ({}, True)


def test_a_missing_report_table_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Reports(tmp_path / "a.csv")


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([".csv", ".jsonl"]), st.binary(max_size=200))
def test_any_bytes_are_reports_rejects_or_an_input_error(tmp_path: Path, suffix: str, noise: bytes) -> None:
    for content in (noise, b"id,text\n" + noise):
        try:
            _read_reports(tmp_path / f"a{suffix}", content)
        except InputError as error:
            assert str(tmp_path) in error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FREE, {"findings": "No effusion.\n Heart normal.", "impression": "Normal."}),
        ("FINDINGS AND IMPRESSION: Clear.", {"findings": "Clear."}),
        ("Impression : Clear.", {"impression": "Clear."}),
        ("CONCLUSION:\nClear.\nNOTIFICATION: by phone", {"impression": "Clear."}),
        ("FINDINGS: a\nIMPRESSION: b\nADDENDUM: c\nFINDINGS: d", {"findings": "a\n\nd", "impression": "b"}),
        ("FINAL REPORT\n\nPORTABLE CHEST\n\nNo change: clear.", {"findings": "No change: clear."}),
        ("No header here.", {"findings": "No header here."}),
        ("FINDINGS: Heart: normal.\nLungs: clear.", {"findings": "Heart: normal.\nLungs: clear."}),
        ("INDICATION: cough", {}),
        ("TWO VIEWS OF THE CHEST: Clear.", {"findings": "Clear."}),
        ("PORTABLE UPRIGHT CHEST RADIOGRAPH, 05:30 A.M.: Clear.", {"findings": "Clear."}),
        ("EXAMINATION: CHEST (PA AND LATERAL)\n\nFINDIGNS: Clear.", {"findings": "Clear."}),
        ("INDICATION: a\n\nIMPRESION: Clear.", {"impression": "Clear."}),
        ("__Findings:__ a\n\n### Conclusion\nb", {"findings": "a", "impression": "b"}),
        ("1. Findings: a\n2) Impression: b", {"findings": "a", "impression": "b"}),
        ("II. FINDINGS - a\nIII. IMPRESSION - b", {"findings": "a", "impression": "b"}),
        ("HISTORY: pneumonia. TECHNIQUE: AP. FINDINGS: a. CONCLUSION: b.", {"findings": "a.", "impression": "b."}),
        ("Indication: edema. Findings: Lungs: clear. Impression: b", {"findings": "Lungs: clear.", "impression": "b"}),
        ("FINDINGS: a\rRECOMMENDATIONS: CT for edema.\rIMPRESSION: b", {"findings": "a", "impression": "b"}),
        ("FINDINGS: a\\nIMPRESSION: b", {"findings": "a", "impression": "b"}),
        ("FINDINGS: a<br/>IMPRESSION: b", {"findings": "a", "impression": "b"}),
        ("\u2003FINDINGS\uff1a a\u2028IMPRESSION: b", {"findings": "a", "impression": "b"}),
        ("FINDINGS: a\n\nPRIOR EXAMS: edema", {"findings": "a"}),
        ("FINDINGS: a\nWET READ by Dr.: edema", {"findings": "a"}),
        ("COMPARISON: none\n\nThe lungs are clear.", {"findings": "The lungs are clear."}),
        ("IMPRESSION AND PLAN: a", {"impression": "a"}),
        (
            "IMPRESSION:\nAP chest compared to ___: left effusion.",
            {"impression": "AP chest compared to ___: left effusion."},
        ),
        (
            "FINDINGS: Technical quality: fair.\nChange from prior: none.",
            {"findings": "Technical quality: fair.\nChange from prior: none."},
        ),
        ("EXAM: CHEST\nLUNGS: clear.\nHEART: normal.", {"findings": "LUNGS: clear.\nHEART: normal."}),
        ("REASON: cough\n\nLeft effusion.\n\nDICTATED BY: Dr. A", {"findings": "Left effusion."}),
        ("HISTORY: edema COMPARISON: none FINDINGS: a IMPRESSION: b", {"findings": "a", "impression": "b"}),
        ("history: edema findings: a impression: b", {"findings": "a", "impression": "b"}),
        (
            "FINDINGS: There are two findings: a. IMPRESSION: b",
            {"findings": "There are two findings: a.", "impression": "b"},
        ),
        ("TECHNIQUE AND FINDINGS: a\nPRELIMINARY IMPRESSION #1: b", {"findings": "a", "impression": "b"}),
        ("[FINDINGS]\na\n=== IMPRESSION ===\nb", {"findings": "a", "impression": "b"}),
        ("FINDINGS: a\nIMPRESSION: CONTUSION: none", {"findings": "a", "impression": "CONTUSION: none"}),
        ("<h2>Findings</h2><p>a</p><b>Impression:</b> b", {"findings": "a", "impression": "b"}),
        (
            "FINDINGS:\na\n\nIMPRESSION:\nb\n\nEND OF IMPRESSION:\n\nI have reviewed it.",
            {"findings": "a", "impression": "b"},
        ),
        ("", {}),
    ],
)
def test_sections_are_found_by_their_headers(text: str, expected: dict[str, str]) -> None:
    assert sections(text) == expected


@given(st.lists(st.sampled_from(["FINDINGS:", "IMPRESSION", "Heart:", "\n", "\n\n", "clear ", "FINAL REPORT", ": "])))
def test_every_word_is_in_one_section_or_a_header(pieces: list[str]) -> None:
    report_text = "".join(pieces)
    report_parts = list(split_sections(report_text))
    assert sum(
        (report_part.header + report_part.text).count("clear") for report_part in report_parts
    ) == report_text.count("clear")
