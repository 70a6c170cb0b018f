"""OpenI's XML form against its CSV form: the same studies, texts and names of images."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest

from kgp_loaders.openi import NO_IMAGE, NO_PROJECTION, OpenI
from kgplatform.batches import Reject
from kgplatform.construct.report import Report
from kgplatform.datasets.pair_source import Pair, report_pair

LABELS = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
SAMPLE = 300  # studies


def write_xml(folder: Path, row: dict[str, str], image_names: list[str]) -> None:
    """The study as NLM publishes it; the id of an image has the study's number twice, as most have."""
    uid = row["uid"]
    abstract = "".join(
        f"<AbstractText Label={quoteattr(label)}>{escape(row[label.lower()])}</AbstractText>" for label in LABELS
    )
    images = "".join(
        f'<parentImage id="CXR{uid}_{name.removesuffix(".dcm.png")}"><figureId>F{number}</figureId>'
        f"<caption>{escape(row['image'])}</caption><url>/hadoop/storage/{name}</url></parentImage>"
        for number, name in enumerate(image_names, 1)
    )
    terms = "".join(f"<major>{escape(term)}</major>" for term in row["MeSH"].split(";"))
    (folder / f"{uid}.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><meta type="rr"/><uId id="CXR{uid}"/><MedlineCitation>'
        f"<Article><Abstract>{abstract}</Abstract></Article></MedlineCitation><MeSH>{terms}"
        f"<automatic>{escape(row['Problems'])}</automatic></MeSH>{images}</eCitation>",
        encoding="utf-8",
    )


def read_forms(csv_folder: Path, xml_folder: Path) -> tuple[list[Report], OpenI, list[Report], OpenI]:
    sources = OpenI(csv_folder, views=()), OpenI(xml_folder, views=())
    first, second = (list(source.reports()) for source in sources)
    assert not [record for record in (*first, *second) if isinstance(record, Reject)]
    csv_reports = [record for record in first if isinstance(record, Report)]
    xml_reports = [record for record in second if isinstance(record, Report)]
    return csv_reports, sources[0], xml_reports, sources[1]


@pytest.mark.data
@pytest.mark.parametrize("name", ["openi", "openi_xray"])
def test_the_forms_of_released_studies_are_equal(data_dir: Path, tmp_path: Path, name: str) -> None:
    csv_folder, xml_folder = tmp_path / "csv", tmp_path / "xml"
    csv_folder.mkdir()
    xml_folder.mkdir()
    with (data_dir / name / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        report_rows = list(csv.DictReader(file))[:SAMPLE]
    with (data_dir / name / "indiana_projections.csv").open(encoding="utf-8", newline="") as file:
        image_rows = list(csv.DictReader(file))
    for file_name, rows in (("indiana_reports.csv", report_rows), ("indiana_projections.csv", image_rows)):
        with (csv_folder / file_name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    for row in report_rows:
        write_xml(xml_folder, row, [image["filename"] for image in image_rows if image["uid"] == row["uid"]])
    csv_reports, csv_source, xml_reports, xml_source = read_forms(csv_folder, xml_folder)
    assert len(csv_reports) > SAMPLE / 2
    assert sorted((report.study, report.image_id) for report in csv_reports) == sorted(
        (report.study, report.image_id) for report in xml_reports
    )
    xml_by_study = {report.study: report for report in xml_reports}
    for report in csv_reports:
        assert report.sections == xml_by_study[report.study].sections
        assert report.image == xml_by_study[report.study].image
        assert report.codes == xml_by_study[report.study].codes
    assert any("/" in code for report in csv_reports for code in report.codes)
    assert csv_source.left_out == xml_source.left_out


ROW = {
    "uid": "1", "MeSH": "normal", "Problems": "normal", "image": "PA and lateral", "indication": "", "comparison": "",
    "findings": "Lungs & heart <BR>are clear.", "impression": " No effusion.",
}  # fmt: skip


def test_the_texts_of_both_forms_are_without_tags_and_outer_spaces(tmp_path: Path) -> None:
    csv_folder, xml_folder = tmp_path / "csv", tmp_path / "xml"
    csv_folder.mkdir()
    xml_folder.mkdir()
    write_xml(xml_folder, ROW, ["1_IM-0001-4001.dcm.png"])
    with (csv_folder / "indiana_reports.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ROW))
        writer.writeheader()
        writer.writerow(ROW)
    (csv_folder / "indiana_projections.csv").write_text("uid,filename,projection\n1,1_IM-0001-4001.dcm.png,Frontal\n")
    [csv_report], _, [xml_report], _ = read_forms(csv_folder, xml_folder)
    assert csv_report.sections == {"findings": "Lungs & heart \nare clear.", "impression": "No effusion."}
    assert (xml_report.sections, xml_report.image) == (csv_report.sections, csv_report.image)


def test_what_the_xml_form_does_not_tell_is_counted(tmp_path: Path) -> None:
    write_xml(tmp_path, ROW, ["1_IM-0001-4001.dcm.png", "1_IM-0001-3001.dcm.png"])
    write_xml(tmp_path, ROW | {"uid": "2"}, [])
    source = OpenI(tmp_path)
    [report] = source.reports()
    assert isinstance(report, Report)
    assert report.image["path"] == "1_IM-0001-3001.dcm.png"
    assert "view" not in report.image
    assert source.remarks == {NO_PROJECTION: 1}
    assert source.left_out[NO_IMAGE] == 1


def test_an_image_of_the_xml_form_has_the_name_of_its_file_in_a_folder_within(tmp_path: Path) -> None:
    write_xml(tmp_path, ROW, ["1_IM-0001-4001.dcm.png"])
    (tmp_path / "NLMCXR_png").mkdir()
    (tmp_path / "NLMCXR_png" / "CXR1_1_IM-0001-4001.png").touch()
    [report] = OpenI(tmp_path).reports()
    assert isinstance(report, Report)
    assert report.image["path"] == "CXR1_1_IM-0001-4001.png"


@pytest.mark.parametrize("name", ["1_IM-0001-4001.dcm.png", "CXR1_1_IM-0001-4001.png"])
def test_pairs_find_images_of_both_forms_in_a_folder_elsewhere(tmp_path: Path, name: str) -> None:
    reports_folder, images_folder = tmp_path / "xml", tmp_path / "png"
    reports_folder.mkdir()
    images_folder.mkdir()
    write_xml(reports_folder, ROW, ["1_IM-0001-4001.dcm.png"])
    (images_folder / name).touch()
    [report] = OpenI(reports_folder, every_image=True).reports()
    assert isinstance(report, Report)
    pair = report_pair("openi", report, images_folder, apart=True)
    assert isinstance(pair, Pair)
    assert pair.path == images_folder / name


@pytest.mark.parametrize(
    ("image_id", "path"),
    [
        ("CXR1_1_IM-0001-3001", "1_IM-0001-3001.dcm.png"),
        ("CXR100_IM-0002-1001", "100_IM-0002-1001.dcm.png"),
        ("CXR1_IM-0001-4001-0001", "1_IM-0001-4001-0001.dcm.png"),
    ],
)
def test_an_image_is_called_as_in_the_csv_form_or_as_its_file(tmp_path: Path, image_id: str, path: str) -> None:
    write_xml(tmp_path, ROW, ["x"])
    xml_path = tmp_path / "1.xml"
    xml_path.write_text(re.sub('parentImage id="[^"]*"', f'parentImage id="{image_id}"', xml_path.read_text("utf-8")))
    [report] = OpenI(tmp_path).reports()
    assert isinstance(report, Report)
    assert report.image["path"] == path
    (tmp_path / f"{image_id}.png").write_bytes(b"")
    [report] = OpenI(tmp_path).reports()
    assert isinstance(report, Report)
    assert report.image["path"] == f"{image_id}.png"


def test_a_study_that_occurs_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for folder in (tmp_path, tmp_path / "copy"):
        write_xml(folder, ROW, ["1_IM-0001-4001.dcm.png"])
    report, reject = OpenI(tmp_path).reports()
    assert isinstance(report, Report)
    assert isinstance(reject, Reject)
    assert reject.reason == "the uid already occurs in an earlier file"


def test_repeated_labels_and_elements_within_a_text_are_read(tmp_path: Path) -> None:
    write_xml(tmp_path, ROW | {"findings": "a"}, ["1_IM-0001-4001.dcm.png"])
    xml_text = (
        (tmp_path / "1.xml")
        .read_text("utf-8")
        .replace("</Abstract>", '<AbstractText Label=" Findings ">b<br/>c</AbstractText></Abstract>')
    )
    (tmp_path / "1.xml").write_text(xml_text, encoding="utf-8")
    [report] = OpenI(tmp_path).reports()
    assert isinstance(report, Report)
    assert report.sections["findings"] == "a\n\nb\nc"
