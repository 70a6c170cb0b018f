"""What kind of study the rows of a table are about: from columns, DICOM files and the reports themselves."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from kgp_loaders.reports import NO_HEADER, NO_MODALITY, NO_REGION, Reports
from kgplatform.batches import GraphBatch
from kgplatform.construct.default_exam import ReportsWithExam
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.modality import CHEST_RADIOGRAPH, UNKNOWN, Exam, Modality, exam_of
from kgplatform.construct.open_lexicon import own_words
from kgplatform.construct.report import Report
from kgplatform.construct.select import SelectedReports
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.source import MAX_EXAMS, Construction, exam_remarks
from kgplatform.construct.spread import Stages
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger

TEXT = "EXAMINATION: MRI BRAIN\nFINDINGS: No effusion."


def _source(folder: Path, *rows: Mapping[str, str]) -> Reports:
    table_path = folder / "ward.csv"
    with table_path.open("w", newline="", encoding="utf-8") as table_file:
        writer = csv.DictWriter(table_file, ["id", *dict.fromkeys(name for row in rows for name in row)])
        writer.writeheader()
        writer.writerows({"id": str(number), **row} for number, row in enumerate(rows))
    return Reports(table_path)


def _exams(source: Reports) -> list[str]:
    reports = [record for record in source.reports() if isinstance(record, Report)]
    for report in reports:
        stated = {name: report.image[name] for name in ("modality", "region") if name in report.image}
        assert stated == report.exam.properties()
    return [report.exam.description for report in reports]


def _write_dicom(path: Path) -> None:
    meta_information = FileMetaDataset()
    meta_information.TransferSyntaxUID = ExplicitVRLittleEndian
    meta_information.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    meta_information.MediaStorageSOPInstanceUID = UID("2.25.1")
    dataset = FileDataset(str(path), {}, file_meta=meta_information, preamble=b"\0" * 128)
    dataset.Modality, dataset.BodyPartExamined = "US", "LIVER"
    dataset.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"modality": "CT", "body part": "Head", "exam": "CXR", "text": TEXT}, "CT head"),
        ({"Modality": "CR", "text": TEXT}, "radiograph head"),
        ({"modality": "dx", "StudyDescription": "CHEST (PA AND LAT)", "text": TEXT}, "radiograph chest"),
        ({"image": "a.dcm", "exam": "CXR", "text": TEXT}, "ultrasound abdomen"),
        ({"image": "none.dcm", "exam": "CXR", "text": TEXT}, "radiograph chest"),
        ({"image": "../a.dcm", "exam": "CXR", "text": TEXT}, "radiograph chest"),
        ({"exam": "CT HEAD W/O CONTRAST", "text": "No effusion."}, "CT head"),
        ({"examination": "", "text": TEXT}, "MR head"),
        ({"procedure": "nan", "text": "CT HEAD WITHOUT CONTRAST\n\nNo effusion."}, "CT head"),
        ({"modality": "", "text": "FINDINGS: No effusion."}, "not stated"),
    ],
)
def test_a_column_counts_before_the_dicom_file_the_exams_name_and_the_report(
    tmp_path: Path, row: dict[str, str], expected: str
) -> None:
    _write_dicom(tmp_path / "a.dcm")
    source = _source(tmp_path, row)
    assert _exams(source) == [expected]
    assert not source.remarks


def test_values_that_are_not_recognised_are_counted(tmp_path: Path) -> None:
    (tmp_path / "bad.dcm").write_bytes(b"no DICOM")
    source = _source(
        tmp_path,
        {"modality": "Spoken", "region": "Midwest", "image": "bad.dcm", "text": TEXT},
        {"modality": "Spoken", "region": "chest", "image": "", "text": "FINDINGS: No effusion."},
    )
    for _ in range(2):  # a load reads its reports twice
        assert _exams(source) == ["MR head", "chest, modality not stated"]
        assert source.remarks == {NO_MODALITY: 2, NO_REGION: 1, NO_HEADER: 1}


def test_lists_and_numbers_in_json(tmp_path: Path) -> None:
    records = [
        {"id": 1, "modality": ["CT", "SR"], "body_part": ["CHEST", "ABDOMEN"], "text": TEXT},
        {"id": 2, "modality": 7, "procedure": {"name": "x"}, "text": TEXT},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    assert _exams(Reports(tmp_path / "a.jsonl")) == ["CT chest+abdomen", "MR head"]


def test_the_user_states_what_the_reports_do_not(tmp_path: Path) -> None:
    source = _source(tmp_path, {"text": "FINDINGS: No effusion.", "modality": ""}, {"text": TEXT}, {"modality": "XR"})
    stated_source = ReportsWithExam(source, Exam(Modality.CT, exam_of("head").regions))
    reports = [record for record in stated_source.reports() if isinstance(record, Report)]
    assert [report.exam.description for report in reports] == ["CT head", "MR head", "radiograph head"]
    assert reports[0].image["modality"] == "CT"
    assert stated_source.parameters != source.parameters, "another run"
    assert (stated_source.kind, stated_source.version, stated_source.credentialed, stated_source.files) == (
        source.kind, source.version, source.credentialed, source.files,
    )  # fmt: skip


def _construct(source: ReportsWithExam | SelectedReports | Reports) -> list[GraphBatch]:
    stages = Stages(DictionaryTagger(Lexicon(own_words()), Allowed()), rules())
    return list(Construction(source, stages, {}).batches(2))


def test_a_construction_accounts_for_kinds_of_studies_and_images_have_them(tmp_path: Path) -> None:
    finding = "FINDINGS: Small pleural effusion."
    rows = [{"text": finding, "exam": exam} for exam in ("CXR", "CT HEAD", "", "CT HEAD", "MRI BRAIN", "CHEST")]
    batches = _construct(_source(tmp_path, *rows, {"text": finding, "modality": "Spoken", "exam": "CXR"}))
    assert [batch.remarks for batch in batches[:-1]] == [{}] * (len(batches) - 1)
    assert batches[-1].remarks == {
        NO_MODALITY: 1,
        "reports without a stated region of the body, read as chest radiographs": 1,
        "reports of other studies than chest radiographs: CT head": 2,
        "reports of other studies than chest radiographs: MR head": 1,
    }
    images = [properties for batch in batches for (label, _), properties in batch.nodes.items() if label == "Image"]
    assert [image.get("modality") for image in images][:3] == ["XR", "CT", None]


def test_a_run_on_chest_radiographs_remarks_nothing() -> None:
    assert exam_remarks({CHEST_RADIOGRAPH: 5, exam_of("CHEST"): 2}) == {}
    assert list(exam_remarks({UNKNOWN: 3, Exam(Modality.XR): 1}).values()) == [4]


def test_the_number_of_kinds_that_are_counted_is_bounded() -> None:
    regions = list(exam_of("head neck abdomen pelvis spine knee breast heart chest").regions)
    exams = {Exam(modality, frozenset({region})): 2 for modality in (Modality.CT, Modality.MR, Modality.US)
             for region in regions}  # fmt: skip
    remarks = exam_remarks(exams)
    assert len(remarks) == MAX_EXAMS + 1
    assert sum(remarks.values()) == 2 * len(exams)
