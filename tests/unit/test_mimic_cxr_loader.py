"""MIMIC-CXR's layout: views, splits, reports, images, and damage. All content here is invented."""

from __future__ import annotations

import gzip
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


def dicom(number: int) -> str:
    return "-".join([f"{number:08x}"] * 5)


ROWS = [
    (dicom(2), "10000001", "50000001", "AP"),
    (dicom(1), "10000001", "50000001", "AP"),
    (dicom(3), "10000001", "50000001", "LATERAL"),
    (dicom(4), "10000002", "50000002", "PA"),
    (dicom(5), "10000003", "50000003", "AP"),
]
TEXT = f" FINAL REPORT\n INDICATION:  ___\n \n FINDINGS: \n \n No {CANARY}.\n \n IMPRESSION: \n \n Normal.\n"


def layout(folder: Path, rows: list[tuple[str, ...]] = ROWS, root: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["dicom_id,subject_id,study_id,ViewPosition,Rows", *(",".join((*row, "10")) for row in rows)]
    (folder / METADATA).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for _, subject, study, _ in rows:
        place = folder / root / "files" / f"p{subject[:2]}" / f"p{subject}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"s{study}.txt").write_text(TEXT, encoding="utf-8")
    return folder


def test_a_study_has_its_first_ap_image_and_its_sections(tmp_path: Path) -> None:
    first, second = list(MIMICCXR(layout(tmp_path)).reports())
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    assert (first.image_id, second.image_id) == ("I50000001", "I50000003")
    assert first.sections == {"findings": f"No {CANARY}.", "impression": "Normal."}
    assert first.image == {
        "dataset": "MIMIC-CXR",
        "study_id": "50000001",
        "subject_id": "10000001",
        "view": "AP",
        "path": f"files/p10/p10000001/s50000001/{dicom(1)}.jpg",
    }


def test_views_splits_gzip_reports_elsewhere_and_images_as_they_are(tmp_path: Path) -> None:
    layout(tmp_path, root="mimic-cxr-reports")
    (tmp_path / f"{METADATA}.gz").write_bytes(gzip.compress((tmp_path / METADATA).read_bytes()))
    (tmp_path / METADATA).unlink()
    splits = [f"{dicom(4)},50000002,10000002,test", f"{dicom(5)},50000003,10000003,train"]
    (tmp_path / "mimic-cxr-2.0.0-split.csv").write_text(
        "dicom_id,study_id,subject_id,split\n" + "\n".join(splits) + "\n", encoding="utf-8"
    )
    image = tmp_path / "files" / "p10" / "p10000002" / "s50000002" / f"{dicom(4)}.dcm"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"")
    [found] = MIMICCXR(tmp_path, views=("AP", "PA"), splits=("test",)).reports()
    assert isinstance(found, Report)
    assert found.image["path"].endswith(f"{dicom(4)}.dcm")


def test_every_image_has_its_report(tmp_path: Path) -> None:
    layout(tmp_path, [*ROWS, ROWS[0]])
    every = MIMICCXR(tmp_path, views=(), every_image=True)
    rows = [row for row in every.reports() if isinstance(row, Report)]
    assert [(row.study, row.image["view"], Path(row.image["path"]).stem) for row in rows] == [
        ("50000001", "AP", dicom(1)),
        ("50000001", "AP", dicom(2)),
        ("50000001", "LATERAL", dicom(3)),
        ("50000002", "PA", dicom(4)),
        ("50000003", "AP", dicom(5)),
    ]
    assert {row.image_id for row in rows[:3]} == {"I50000001"}
    assert {row.sections["findings"] for row in rows} == {f"No {CANARY}."}
    assert len(list(MIMICCXR(tmp_path, every_image=True).reports())) == 3
    assert [row.study for row in every.reports({"50000002"}) if isinstance(row, Report)] == ["50000002"]
    assert len(every.files) == 1 + 3


def test_a_missing_report_is_told_once_for_all_its_images(tmp_path: Path) -> None:
    layout(tmp_path)
    (tmp_path / "files/p10/p10000001/s50000001.txt").unlink()
    rows = list(MIMICCXR(tmp_path, views=(), every_image=True).reports())
    assert [row.reason for row in rows if isinstance(row, Reject)] == ["study 50000001 has no report s50000001.txt"]
    assert len(rows) == 3


def test_runs_that_take_one_image_keep_their_ids(tmp_path: Path) -> None:
    layout(tmp_path)
    assert MIMICCXR(tmp_path).parameters == {"views": ["AP"], "splits": []}
    assert MIMICCXR(tmp_path, every_image=True).parameters == {"views": ["AP"], "splits": [], "every_image": True}


def test_only_invented_studies_are_free_of_an_agreement(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert MIMICCXR(layout(tmp_path / "a")).credentialed
    invented = MIMICCXR(layout(tmp_path / "b", [(dicom(1), "90000001", "90000002", "AP")]))
    assert not invented.credentialed
    [found] = invented.reports()
    assert isinstance(found, Report)
    assert found.image["dataset"] == "Phantom"


def test_bad_rows_and_missing_reports_are_rejected_with_their_place(tmp_path: Path) -> None:
    rows = [*ROWS, ("zz", "10000004", "50000004", "AP"), (dicom(9), "1/../2", "50000005", "AP")]
    layout(tmp_path, ROWS)
    lines = ["dicom_id,subject_id,study_id,ViewPosition", *(",".join(row) for row in rows), "short,row"]
    (tmp_path / METADATA).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "files/p10/p10000003/s50000003.txt").unlink()
    rejects = [row for row in MIMICCXR(tmp_path).reports() if isinstance(row, Reject)]
    assert [(row.row, row.reason.split(" ")[0]) for row in rejects] == [
        (7, "the"),
        (8, "subject_id"),
        (9, "2"),
        (6, "study"),
    ]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00report", b"ok\0binary", b"x" * ((1 << 20) + 1)])
def test_a_report_that_is_none_is_rejected_without_its_words(tmp_path: Path, content: bytes) -> None:
    layout(tmp_path)
    (tmp_path / "files/p10/p10000001/s50000001.txt").write_bytes(content)
    found = [row for row in MIMICCXR(tmp_path).reports() if isinstance(row, Reject)]
    assert [row.path.name for row in found] == ["s50000001.txt"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("other.csv", b"", "no metadata"),
        (METADATA, b"", "no column dicom_id"),
        (METADATA, b"dicom_id,subject_id,study_id\n", "no column ViewPosition"),
        (METADATA, b'"dicom_id,subject_id,study_id,ViewPosition', "damaged"),
        (f"{METADATA}.gz", b"\x1f\x8bnot gzip", "damaged"),
        (f"{METADATA}.gz", b"plain", "damaged"),
    ],
)
def test_a_table_that_is_none_is_one_clear_error(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=told):
        list(MIMICCXR(tmp_path).reports())


@given(content=st.binary(max_size=300))
@example_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_as_metadata_are_read_rejected_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / METADATA).write_bytes(b"dicom_id,subject_id,study_id,ViewPosition\n" + content)
    try:
        assert all(isinstance(row, Reject) for row in MIMICCXR(tmp_path).reports())
    except InputError as error:
        assert METADATA in str(error)
