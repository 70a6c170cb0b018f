"""OpenI: the CSV form, the XML form, and damage to either."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.openi import NO_IMAGE, OpenI
from kgplatform.batches import Reject
from kgplatform.construct.report import Report
from kgplatform.errors import InputError

REPORTS = [
    ["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"],
    ["1", "normal", "normal", "PA", "pain", "", "Lungs are clear.", "Normal, chest."],
    ["2", "Mass", "Mass", "PA", "", "", "", "A mass."],
    ["3", "", "", "PA", "", "", "Lateral only.", ""],
]
IMAGES = [
    ["uid", "filename", "projection"],
    ["1", "1_IM-0002.dcm.png", "Frontal"],
    ["1", "1_IM-0001.dcm.png", "Frontal"],
    ["1", "1_IM-0000.dcm.png", "Lateral"],
    ["2", "2_IM-0001.dcm.png", "Frontal"],
    ["3", "3_IM-0001.dcm.png", "Lateral"],
]
XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{uid}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="INDICATION">pain</AbstractText>
<AbstractText Label="FINDINGS">Lungs &amp; heart are clear.</AbstractText>
<AbstractText Label="IMPRESSION">No effusion.</AbstractText>
</Abstract></Article></MedlineCitation>
<parentImage id="CXR{uid}_IM-0002"/><parentImage id="CXR{uid}_IM-0001"/></eCitation>
"""


def _write_openi(folder: Path, reports: list[list[str]] = REPORTS, images: list[list[str]] = IMAGES) -> Path:
    for file_name, records in (("indiana_reports.csv", reports), ("indiana_projections.csv", images)):
        with (folder / file_name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(records)
    return folder


def _read_openi(source: OpenI) -> tuple[dict[str, Report], list[Reject]]:
    records = list(source.reports())
    return {record.study: record for record in records if isinstance(record, Report)}, [
        record for record in records if isinstance(record, Reject)
    ]


def test_the_indexers_codes_are_read_where_the_file_has_them(tmp_path: Path) -> None:
    rows = [list(row) for row in REPORTS]
    rows[2][1] = "Opacity/lung/left; Mass ;"
    reports, _ = _read_openi(OpenI(_write_openi(tmp_path, rows)))
    assert [report.codes for report in reports.values()] == [("normal",), ("Opacity/lung/left", "Mass")]
    without_column = [[value for number, value in enumerate(row) if number != 1] for row in rows]
    reports, rejects = _read_openi(OpenI(_write_openi(tmp_path, without_column)))
    assert [report.codes for report in reports.values()] == [(), ()]
    assert not rejects


def test_a_study_with_a_frontal_image_is_a_report(tmp_path: Path) -> None:
    reports, rejects = _read_openi(OpenI(_write_openi(tmp_path)))
    assert not rejects
    assert list(reports) == ["1", "2"]
    assert reports["1"].image_id == "I1"
    assert reports["1"].sections == {"findings": "Lungs are clear.", "impression": "Normal, chest."}
    assert reports["1"].image == {
        "dataset": "OpenI",
        "study_id": "1",
        "path": "1_IM-0001.dcm.png",
        "view": "Frontal",
        "modality": "XR",
        "region": "chest",
    }


def test_other_projections_can_be_asked_for(tmp_path: Path) -> None:
    reports, _ = _read_openi(OpenI(_write_openi(tmp_path), views=()))
    assert list(reports) == ["1", "2", "3"]
    assert reports["1"].image["path"] == "1_IM-0000.dcm.png"
    assert list(_read_openi(OpenI(tmp_path, views=("Lateral",)))[0]) == ["1", "3"]
    frontal_reports, _ = _read_openi(OpenI(tmp_path, views=("frontal",)))
    assert {report.image["view"] for report in frontal_reports.values()} == {"Frontal"}, "as the data set writes it"


def test_every_image_has_its_report_and_its_own_projection(tmp_path: Path) -> None:
    _write_openi(tmp_path, images=[*IMAGES, IMAGES[1]])
    source = OpenI(tmp_path, views=(), every_image=True)
    image_reports = [report for report in source.reports() if isinstance(report, Report)]
    assert [(report.study, report.image["path"], report.image["view"]) for report in image_reports] == [
        ("1", "1_IM-0000.dcm.png", "Lateral"),
        ("1", "1_IM-0001.dcm.png", "Frontal"),
        ("1", "1_IM-0002.dcm.png", "Frontal"),
        ("2", "2_IM-0001.dcm.png", "Frontal"),
        ("3", "3_IM-0001.dcm.png", "Lateral"),
    ]
    assert {report.image_id for report in image_reports[:3]} == {"I1"}
    assert (
        image_reports[0].sections
        == image_reports[2].sections
        == {"findings": "Lungs are clear.", "impression": "Normal, chest."}
    )
    frontal_reports = [report for report in OpenI(tmp_path, every_image=True).reports() if isinstance(report, Report)]
    assert [report.image["path"][:9] for report in frontal_reports] == ["1_IM-0001", "1_IM-0002", "2_IM-0001"]


def test_every_image_of_the_xml_form(tmp_path: Path) -> None:
    (tmp_path / "9.xml").write_text(XML.format(uid="9"), encoding="utf-8")
    (tmp_path / "8.xml").write_text(re.sub("<parentImage[^>]*>", "", XML.format(uid="8")), encoding="utf-8")
    image_reports = [report for report in OpenI(tmp_path, every_image=True).reports() if isinstance(report, Report)]
    chest_radiograph = {"modality": "XR", "region": "chest"}
    assert [(report.study, dict(report.image)) for report in image_reports] == [
        ("9", {"dataset": "OpenI", "study_id": "9", "path": "9_IM-0001.dcm.png", **chest_radiograph}),
        ("9", {"dataset": "OpenI", "study_id": "9", "path": "9_IM-0002.dcm.png", **chest_radiograph}),
    ]
    source = OpenI(tmp_path)
    [report] = _read_openi(source)[0].values()
    assert report.image["path"] == "9_IM-0001.dcm.png"
    assert source.left_out[NO_IMAGE] == 1


def test_openi_runs_with_a_single_image_keep_their_ids(tmp_path: Path) -> None:
    _write_openi(tmp_path)
    assert OpenI(tmp_path).parameters == {"views": ["Frontal"]}
    assert OpenI(tmp_path, every_image=True).parameters == {"views": ["Frontal"], "every_image": True}


def test_a_report_is_never_shown(tmp_path: Path) -> None:
    reports, _ = _read_openi(OpenI(_write_openi(tmp_path)))
    assert "clear" not in repr(reports["1"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["x", *REPORTS[1][1:]], "uid is not a number"),
        (REPORTS[1], "earlier row"),
        (["4", "too", "few"], "values"),
    ],
)
def test_a_bad_row_costs_itself_and_is_told_without_its_text(tmp_path: Path, row: list[str], reason: str) -> None:
    reports, rejects = _read_openi(OpenI(_write_openi(tmp_path, [*REPORTS, row])))
    assert list(reports) == ["1", "2"]
    [reject] = rejects
    assert reject.row == 5
    assert reason in reject.reason
    assert "clear" not in reject.reason


def test_a_bad_row_of_images_costs_itself(tmp_path: Path) -> None:
    _, rejects = _read_openi(OpenI(_write_openi(tmp_path, images=[*IMAGES, ["4", "../../etc/passwd", "Frontal"]])))
    assert [reject.row for reject in rejects] == [7]


def test_a_missing_openi_column_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="findings"):
        _read_openi(OpenI(_write_openi(tmp_path, [record[:6] for record in REPORTS])))


def test_an_empty_folder_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no OpenI reports"):
        OpenI(tmp_path)


def test_the_xml_form_gives_the_same_kind_of_report(tmp_path: Path) -> None:
    for study_uid in ("10", "9"):
        (tmp_path / f"{study_uid}.xml").write_text(XML.format(uid=study_uid), encoding="utf-8")
    reports, rejects = _read_openi(OpenI(tmp_path))
    assert not rejects
    assert list(reports) == ["9", "10"]
    assert reports["9"].sections == {"findings": "Lungs & heart are clear.", "impression": "No effusion."}
    image_properties = {"dataset": "OpenI", "study_id": "9", "path": "9_IM-0001.dcm.png"}
    assert reports["9"].image == {**image_properties, "modality": "XR", "region": "chest"}


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + XML.format(uid="1").replace("pain", "&b;")


@pytest.mark.parametrize(
    "content",
    [b"", b"not xml", BOMB.encode(), XML.format(uid="x").encode(), b"\xff\xfe", b"<a>" * 100_000, b" " * (1 << 21)],
)
def test_a_bad_xml_file_is_told_and_the_others_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.xml").write_bytes(content)
    (tmp_path / "2.xml").write_text(XML.format(uid="2"), encoding="utf-8")
    reports, rejects = _read_openi(OpenI(tmp_path))
    assert list(reports) == ["2"]
    assert [reject.path.name for reject in rejects] == ["1.xml"]


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 700))
def test_damaged_xml_never_raises_anything_else(tmp_path: Path, noise: bytes, at: int) -> None:
    xml_content = XML.format(uid="1").encode()
    (tmp_path / "1.xml").write_bytes(xml_content[:at] + noise + xml_content[at + len(noise) :])
    _read_openi(OpenI(tmp_path))


@pytest.mark.data
def test_the_released_reports(data_dir: Path) -> None:
    reports, rejects = _read_openi(OpenI(data_dir / "openi"))
    assert (len(reports), len(rejects)) == (2608, 0)
    assert len(_read_openi(OpenI(data_dir / "openi", views=()))[0]) == 2719
    image_reports = [
        report
        for report in OpenI(data_dir / "openi", views=(), every_image=True).reports()
        if isinstance(report, Report)
    ]
    assert len({report.image["path"] for report in image_reports}) == len(image_reports) == 5278
