"""MIMIC-CXR's layout: views, splits, reports, images, and damage. All content here is synthetic."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.mimic_cxr import MIMICCXR
from kgplatform.batches import Reject
from kgplatform.construct.report import Report
from kgplatform.errors import InputError

METADATA = "mimic-cxr-2.0.0-metadata.csv"
CANARY = "zebrafinch"


def synthetic_dicom_id(number: int) -> str:
    return "-".join([f"{number:08x}"] * 5)


ROWS = [
    (synthetic_dicom_id(2), "10000001", "50000001", "AP"),
    (synthetic_dicom_id(1), "10000001", "50000001", "AP"),
    (synthetic_dicom_id(3), "10000001", "50000001", "LATERAL"),
    (synthetic_dicom_id(4), "10000002", "50000002", "PA"),
    (synthetic_dicom_id(5), "10000003", "50000003", "AP"),
]
TEXT = f" FINAL REPORT\n INDICATION:  ___\n \n FINDINGS: \n \n No {CANARY}.\n \n IMPRESSION: \n \n Normal.\n"


def layout(folder: Path, rows: Sequence[tuple[str, ...]] = ROWS, root: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table_lines = ["dicom_id,subject_id,study_id,ViewPosition,Rows", *(",".join((*record, "10")) for record in rows)]
    (folder / METADATA).write_text("\n".join(table_lines) + "\n", encoding="utf-8")
    for _, subject, study, _ in rows:
        report_folder = folder / root / "files" / f"p{subject[:2]}" / f"p{subject}"
        report_folder.mkdir(parents=True, exist_ok=True)
        (report_folder / f"s{study}.txt").write_text(TEXT, encoding="utf-8")
    return folder


def test_a_study_has_its_first_ap_image_and_its_sections(tmp_path: Path) -> None:
    first_report, second_report = list(MIMICCXR(layout(tmp_path)).reports())
    assert isinstance(first_report, Report)
    assert isinstance(second_report, Report)
    assert (first_report.image_id, second_report.image_id) == ("I50000001", "I50000003")
    assert first_report.sections == {"findings": f"No {CANARY}.", "impression": "Normal."}
    assert first_report.image == {
        "dataset": "MIMIC-CXR",
        "study_id": "50000001",
        "subject_id": "10000001",
        "view": "AP",
        "path": f"files/p10/p10000001/s50000001/{synthetic_dicom_id(1)}.jpg",
        "modality": "XR",
        "region": "chest",
    }


def test_views_splits_gzip_reports_elsewhere_and_images_as_they_are(tmp_path: Path) -> None:
    layout(tmp_path, root="mimic-cxr-reports")
    (tmp_path / f"{METADATA}.gz").write_bytes(gzip.compress((tmp_path / METADATA).read_bytes()))
    (tmp_path / METADATA).unlink()
    split_lines = [
        f"{synthetic_dicom_id(4)},50000002,10000002,test",
        f"{synthetic_dicom_id(5)},50000003,10000003,train",
    ]
    (tmp_path / "mimic-cxr-2.0.0-split.csv").write_text(
        "dicom_id,study_id,subject_id,split\n" + "\n".join(split_lines) + "\n", encoding="utf-8"
    )
    image_path = tmp_path / "files" / "p10" / "p10000002" / "s50000002" / f"{synthetic_dicom_id(4)}.dcm"
    image_path.parent.mkdir(parents=True)
    image_path.write_bytes(b"")
    [report] = MIMICCXR(tmp_path, views=("AP", "PA"), splits=("test",)).reports()
    assert isinstance(report, Report)
    assert report.image["path"].endswith(f"{synthetic_dicom_id(4)}.dcm")


def test_every_mimic_cxr_image_has_its_report(tmp_path: Path) -> None:
    layout(tmp_path, [*ROWS, ROWS[0]])
    source = MIMICCXR(tmp_path, views=(), every_image=True)
    image_reports = [report for report in source.reports() if isinstance(report, Report)]
    assert [(report.study, report.image["view"], Path(report.image["path"]).stem) for report in image_reports] == [
        ("50000001", "AP", synthetic_dicom_id(1)),
        ("50000001", "AP", synthetic_dicom_id(2)),
        ("50000001", "LATERAL", synthetic_dicom_id(3)),
        ("50000002", "PA", synthetic_dicom_id(4)),
        ("50000003", "AP", synthetic_dicom_id(5)),
    ]
    assert {report.image_id for report in image_reports[:3]} == {"I50000001"}
    assert {report.sections["findings"] for report in image_reports} == {f"No {CANARY}."}
    assert len(list(MIMICCXR(tmp_path, every_image=True).reports())) == 3
    assert [report.study for report in source.reports({"50000002"}) if isinstance(report, Report)] == ["50000002"]
    assert len(source.files) == 1 + 3


def test_a_missing_report_is_told_once_for_all_its_images(tmp_path: Path) -> None:
    layout(tmp_path)
    (tmp_path / "files/p10/p10000001/s50000001.txt").unlink()
    records = list(MIMICCXR(tmp_path, views=(), every_image=True).reports())
    assert [record.reason for record in records if isinstance(record, Reject)] == [
        "study 50000001 has no report s50000001.txt"
    ]
    assert len(records) == 3


def test_mimic_cxr_runs_with_a_single_image_keep_their_ids(tmp_path: Path) -> None:
    layout(tmp_path)
    assert MIMICCXR(tmp_path).parameters == {"views": ["AP"], "splits": []}
    assert MIMICCXR(tmp_path, every_image=True).parameters == {"views": ["AP"], "splits": [], "every_image": True}


def test_only_invented_studies_are_free_of_an_agreement(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert MIMICCXR(layout(tmp_path / "a")).credentialed
    synthetic = MIMICCXR(layout(tmp_path / "b", [(synthetic_dicom_id(1), "90000001", "90000002", "AP")]))
    assert not synthetic.credentialed
    [report] = synthetic.reports()
    assert isinstance(report, Report)
    assert report.image["dataset"] == "Phantom"


def test_bad_rows_and_missing_reports_are_rejected_with_their_place(tmp_path: Path) -> None:
    records = [*ROWS, ("zz", "10000004", "50000004", "AP"), (synthetic_dicom_id(9), "1/../2", "50000005", "AP")]
    layout(tmp_path, ROWS)
    table_lines = ["dicom_id,subject_id,study_id,ViewPosition", *(",".join(record) for record in records), "short,row"]
    (tmp_path / METADATA).write_text("\n".join(table_lines) + "\n", encoding="utf-8")
    (tmp_path / "files/p10/p10000003/s50000003.txt").unlink()
    rejects = [record for record in MIMICCXR(tmp_path).reports() if isinstance(record, Reject)]
    assert [(record.row, record.reason.split(" ")[0]) for record in rejects] == [
        (7, "the"),
        (8, "subject_id"),
        (9, "2"),
        (6, "study"),
    ]


def test_a_report_that_is_a_link_out_of_the_folder_is_rejected(tmp_path: Path) -> None:
    mimic_folder = layout(tmp_path / "mimic")
    (tmp_path / "secret.txt").write_text("FINDINGS: secret", encoding="utf-8")
    first_path, third_path = sorted(mimic_folder.rglob("s5000000[13].txt"))
    first_path.unlink()
    first_path.symlink_to(tmp_path / "secret.txt")
    inner_path = third_path.rename(third_path.with_name("elsewhere.txt"))
    third_path.symlink_to(inner_path)
    rejected, report = MIMICCXR(mimic_folder).reports()
    assert isinstance(rejected, Reject)
    assert rejected.reason == "the link points outside the folder"
    assert isinstance(report, Report), "a link within the folder is followed"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00report", b"ok\0binary", b"x" * ((1 << 20) + 1)])
def test_a_report_that_is_none_is_rejected_without_its_words(tmp_path: Path, content: bytes) -> None:
    layout(tmp_path)
    (tmp_path / "files/p10/p10000001/s50000001.txt").write_bytes(content)
    rejects = [record for record in MIMICCXR(tmp_path).reports() if isinstance(record, Reject)]
    assert [record.path.name for record in rejects] == ["s50000001.txt"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.csv", b"", "no metadata"),
        (METADATA, b"", "no column dicom_id"),
        (METADATA, b"dicom_id,subject_id,study_id\n", "no column ViewPosition"),
        (METADATA, b'"dicom_id,subject_id,study_id,ViewPosition', "damaged"),
        (f"{METADATA}.gz", b"\x1f\x8bnot gzip", "damaged"),
        (f"{METADATA}.gz", b"plain", "damaged"),
    ],
)
def test_a_table_that_is_none_is_one_clear_error(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(MIMICCXR(tmp_path).reports())


@given(content=st.binary(max_size=300))
@example_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_as_metadata_are_read_rejected_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / METADATA).write_bytes(b"dicom_id,subject_id,study_id,ViewPosition\n" + content)
    try:
        assert all(isinstance(record, Reject) for record in MIMICCXR(tmp_path).reports())
    except InputError as error:
        assert METADATA in str(error)


def test_an_empty_view_position_is_read_from_the_view_code_and_others_are_counted(tmp_path: Path) -> None:
    layout(tmp_path, ROWS[1:2])
    header = "dicom_id,subject_id,study_id,ViewPosition,ViewCodeSequence_CodeMeaning"
    views = [("nan", "antero-posterior"), ("", "postero-anterior"), ("", ""), ("AP", "")]
    table_rows = [
        f"{synthetic_dicom_id(number)},10000001,5000000{number},{view},{code}"
        for number, (view, code) in enumerate(views, 1)
    ]
    (tmp_path / METADATA).write_text("\n".join([header, *table_rows]) + "\n", encoding="utf-8")
    for number in range(1, 5):
        (tmp_path / "files" / "p10" / "p10000001" / f"s5000000{number}.txt").write_text(TEXT, encoding="utf-8")
    source = MIMICCXR(tmp_path)
    studies = [report.study for report in source.reports() if isinstance(report, Report)]
    assert studies == ["50000001", "50000004"]
    assert source.left_out == {
        "images of other views than AP": 1,
        "images whose view is not stated": 1,
        "studies without such an image": 2,
    }
    assert len(list(MIMICCXR(tmp_path, views=()).reports())) == 4, "without a selection of views each image counts"


def test_a_release_without_reports_says_where_they_are(tmp_path: Path) -> None:
    folder = layout(tmp_path)
    for report_path in folder.glob("files/*/*/*.txt"):
        report_path.with_suffix("").mkdir()
        report_path.unlink()
    with pytest.raises(InputError, match="there are no reports here") as error:
        list(MIMICCXR(folder).reports())
    assert error.value.hint is not None
    assert "mimic-cxr-reports.zip" in error.value.hint
