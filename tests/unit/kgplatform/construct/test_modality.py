"""What kind of study a report is about: from an exam's name, a column's value, and a DICOM header."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from kgplatform.construct.dicom_exam import exam_of_dicom, is_dicom_file
from kgplatform.construct.modality import (
    CHEST_RADIOGRAPH,
    UNKNOWN,
    Exam,
    Modality,
    Region,
    exam_of,
    is_exam_name,
    modality_of,
    named_share,
    regions_of,
)

# an exam's name as users have it: modality, regions
NAMES = {
    "CT HEAD WITHOUT CONTRAST": "CT head",
    "CT HEAD W/O CONTRAST": "CT head",
    "CT C-SPINE W/O CONTRAST": "CT spine",
    "CT ABDOMEN AND PELVIS": "CT abdomen+pelvis",
    "CT ABD & PELVIS WITH CONTRAST": "CT abdomen+pelvis",
    "CT CHEST/ABD/PELVIS": "CT chest+abdomen+pelvis",
    "CT TORSO": "CT chest+abdomen+pelvis",
    "CT KUB": "CT abdomen+pelvis",
    "CTA CHEST W&W/O C&RECONS": "CT chest",
    "CTA CHEST W&W/O C&RECONS, NON-CORONARY": "CT chest",
    "CTA HEAD AND CTA NECK": "CT head+neck",
    "CTPA": "CT chest",
    "Computed tomography of the thorax": "CT chest",
    "PE protocol CT chest, compared with CXR": "CT chest",
    "MRI BRAIN W/O": "MR head",
    "MR HEAD W & W/O CONTRAST": "MR head",
    "MR L SPINE W/O CONTRAST": "MR spine",
    "MRCP (MR ABD W&W/OC)": "MR abdomen",
    "CARDIAC MRI": "MR heart",
    "MRI LEFT KNEE": "MR extremity",
    "US ABD LIMIT": "US abdomen",
    "THYROID U.S.": "US neck",
    "US DOPPLER": "US",
    "ECHO": "US heart",
    "BILAT LOWER EXT VEINS": "US extremity",
    "CAROTID ULTRASOUND": "US neck",
    "LIVER OR GALLBLADDER US (SINGLE ORGAN)": "US abdomen",
    "ULTRASOUND GUIDANCE FOR THORACENTESIS": "US chest",
    "CHEST (PA AND LAT)": "XR chest",
    "CHEST (PORTABLE AP)": "XR chest",
    "Xray Chest PA and Lateral": "XR chest",
    "DX CHEST PORT LINE/TUBE PLCMT": "XR chest",
    "DX CHEST PORT LINE/TUBE PLCMT 1 EXAM": "XR chest",
    "PORTABLE AP CHEST RADIOGRAPH": "XR chest",
    "PORTABLE CHEST FOR NECK SWELLING": "XR chest",
    "CHEST 1V": "XR chest",
    "CXR": "XR chest",
    "RIBS, UNILATERAL": "XR chest",
    "BABYGRAM": "XR chest+abdomen+pelvis",
    "KUB": "XR abdomen+pelvis",
    "ABDOMEN SUPINE AND ERECT": "XR abdomen",
    "LEFT KNEE 3 VIEWS": "XR extremity",
    "XR HAND": "XR extremity",
    "HIP UNILAT MIN 2 VIEWS": "XR extremity",
    "TIB/FIB (AP & LAT)": "XR extremity",
    "SPINE THORACIC 2V": "XR spine",
    "L-SPINE (AP & LAT)": "XR spine",
    "femoral neck, two views": "XR extremity",
    "SKELETAL SURVEY": "XR whole body",
    "Mammogram": "MG breast",
    "DIGITAL DX MAMMO": "MG breast",
    "PET/CT": "PT",
    "FDG PET/CT SKULL BASE TO MID-THIGH": "PT whole body",
    "LUNG SCAN": "NM chest",
    "VIDEO OROPHARYNGEAL SWALLOW": "RF neck",
    "BONE DENSITY": "OT",
    "CHEST": "chest",
    "BRAIN": "head",
    "FINAL REPORT": "",
    "COMPARISON": "",
    "COMPARISON: CT head": "",
    "3/4/2012": "",
    "": "",
}


def _in_words(exam: Exam) -> str:
    return " ".join(filter(None, ((exam.modality or ""), exam.region_names)))


@pytest.mark.parametrize("name", NAMES)
def test_an_exams_name_states_modality_and_regions(name: str) -> None:
    assert _in_words(exam_of(name)) == NAMES[name]
    assert exam_of(name.lower()) == exam_of(name), "in any case"


def test_the_table_of_words_states_each_phrase_once() -> None:
    table_text = files("kgplatform.construct").joinpath("exam_words.tsv").read_text(encoding="utf-8")
    header, *rows = [line.split("\t") for line in table_text.splitlines()]
    assert header == ["words", "modality", "region"]
    assert all(len(row) == 3 for row in rows)
    phrases = [" ".join(phrase.split()) for words, _, _ in rows for phrase in words.split("|")]
    assert sorted(phrases) == sorted(set(phrases))


VALUES = {
    "CR": "XR", "DX": "XR", "dx": "XR", "XR": "XR", "X-ray": "XR", "x ray": "XR", "radiograph": "XR",
    "radiography": "XR", "Chest X-Ray": "XR", "computed tomography": "CT", "ct scan": "CT", "CT": "CT", "MRI": "MR",
    "MR": "MR", "Magnetic Resonance": "MR", "sonography": "US", "Ultrasound": "US", "pt": "PT", "PET/CT": "PT",
    "PT\\CT": "PT", "['CT', 'SR']": "CT", "MG": "MG", "nm": "NM", "RF": "RF", "XA": "XA", "OT": "OT", "other": "OT",
    "ES": "OT", "SR": None, "unknown": None, "": None, "7": None, "Midwest": None,
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_columns_value_states_a_modality(value: str) -> None:
    assert modality_of(value) == VALUES[value]


def test_a_columns_value_states_regions() -> None:
    assert regions_of("CHESTABDPELVIS") == {Region.CHEST, Region.ABDOMEN, Region.PELVIS}
    assert regions_of("upper_extremity") == {Region.EXTREMITY}
    assert not regions_of("Midwest")


def test_what_is_stated_nowhere_is_that_of_a_chest_radiograph_where_nothing_contradicts_it() -> None:
    assert UNKNOWN.assumed() == Exam(Modality.XR).assumed() == exam_of("CHEST").assumed() == CHEST_RADIOGRAPH
    for name in ("CT", "CT HEAD", "BRAIN", "XR HAND", "CT CHEST"):
        assert exam_of(name).assumed() == exam_of(name)
        assert not exam_of(name).assumed().is_chest_radiograph
    assert exam_of("BABYGRAM").is_chest_radiograph
    assert exam_of("CT CHEST/ABD/PELVIS").is_chest
    assert exam_of("FDG PET/CT SKULL BASE TO MID-THIGH").is_chest


def test_an_exam_is_completed_field_by_field_and_becomes_properties_of_an_image() -> None:
    exam = Exam(Modality.CT).completed_by(exam_of("MRI BRAIN"))
    assert exam.properties() == {"modality": "CT", "region": "head"}
    assert exam_of("CT pelvis, abdomen, chest").properties() == {"modality": "CT", "region": "chest+abdomen+pelvis"}
    assert UNKNOWN.properties() == {}
    assert [exam_of(name).description for name in ("CT HEAD", "XR", "BRAIN")] == [
        "CT head",
        "radiograph, region not stated",
        "head, modality not stated",
    ]


@pytest.mark.parametrize("name", ["AP chest compared to 3/4", "The CT head", "CT HEAD SHOWS BLOOD", "HEAD", "CT"])
def test_a_sentence_is_no_exams_name(name: str) -> None:
    assert is_exam_name(name) == (name == "The CT head")


@given(st.text(max_size=400))
def test_no_text_breaks_the_reading_of_names(text: str) -> None:
    exam = exam_of(text)
    assert exam == exam_of(text), "always the same"
    assert set(exam.properties()) <= {"modality", "region"}
    assert exam.description
    assert 0 <= named_share(text) <= 1
    assert is_exam_name(text) <= exam.is_complete
    modality_of(text)


@given(st.lists(st.sampled_from(list(NAMES)), max_size=4))
def test_regions_add_up_and_a_modality_is_one_of_the_names(names: list[str]) -> None:
    names = [name for name in names if "COMPAR" not in name.upper() and " FOR " not in name]
    joined_exam = exam_of(" / ".join(names)[:300])
    assert joined_exam.modality in {None, Modality.PT, *(exam_of(name).modality for name in names)}


def _write_dicom(path: Path, values: Mapping[str, str], syntax: UID = ExplicitVRLittleEndian) -> Path:
    meta_information = FileMetaDataset()
    meta_information.TransferSyntaxUID = syntax
    meta_information.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    meta_information.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["modality"])
    dataset = FileDataset(str(path), {}, file_meta=meta_information, preamble=b"\0" * 128)
    for tag, value in values.items():
        setattr(dataset, tag, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Modality": "CT", "BodyPartExamined": "HEAD"}, "CT head"),
        ({"Modality": "DX", "BodyPartExamined": "CHEST", "StudyDescription": "KNEE"}, "XR chest"),
        ({"Modality": "MR", "StudyDescription": "MRI BRAIN W/O"}, "MR head"),
        ({"Modality": "CR", "BodyPartExamined": "PORT", "SeriesDescription": "AP chest"}, "XR chest"),
        ({"Modality": "OT", "ProtocolName": "CT ABDOMEN"}, "CT abdomen"),
        ({"Modality": "OT"}, "OT"),
        ({"StudyDescription": "US ABD LIMIT"}, "US abdomen"),
        ({"Modality": "SR"}, ""),
        ({}, ""),
    ],
)
def test_a_dicom_header_states_modality_and_regions(tmp_path: Path, values: dict[str, str], expected: str) -> None:
    exam = exam_of_dicom(_write_dicom(tmp_path / "a.dcm", values))
    assert exam is not None
    assert _in_words(exam) == expected


def test_what_is_no_readable_dicom_states_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"DICM")
    (tmp_path / "b.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    (tmp_path / "c.dcm").mkdir()
    deflated_path = _write_dicom(tmp_path / "d.dcm", {"Modality": "CT"}, DeflatedExplicitVRLittleEndian)
    for path in (tmp_path / "a.dcm", tmp_path / "b.dcm", tmp_path / "c.dcm", tmp_path / "none.dcm", deflated_path):
        assert exam_of_dicom(path) is None
    assert not is_dicom_file(tmp_path / "c.dcm")
    assert not is_dicom_file(tmp_path / ("x" * 5_000 + ".dcm"))
    assert is_dicom_file(deflated_path)


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 600), replacement=st.binary(min_size=1, max_size=8), length=st.integers(0, 700))
def test_a_damaged_dicom_file_does_no_harm(tmp_path: Path, position: int, replacement: bytes, length: int) -> None:
    path = _write_dicom(tmp_path / "a.dcm", {"Modality": "CT", "StudyDescription": "CT HEAD"})
    content = path.read_bytes()
    path.write_bytes((content[:position] + replacement + content[position + len(replacement) :])[:length])
    exam = exam_of_dicom(path)
    assert exam is None or isinstance(exam, Exam)
