"""What kind of study a DICOM file's header states. Pixels are not read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO, Final

from kgplatform import files
from kgplatform.construct.modality import Exam, Modality, exam_of, modality_of, regions_of
from kgplatform.errors import InputError
from kgplatform.image_limits import BLOCK, MAX_BYTES

SUFFIXES: Final = (".dcm", ".dicom")
_NAMES: Final = ("StudyDescription", "SeriesDescription", "ProtocolName")
_TAGS: Final = ("Modality", "BodyPartExamined", *_NAMES)
_PREAMBLE: Final = 128  # bytes before the word DICM


def is_dicom_file(path: Path) -> bool:
    """Whether there is a file that is DICOM by its name: other images are not opened for this."""
    try:
        return path.suffix.lower() in SUFFIXES and path.is_file()
    except (OSError, ValueError):  # a name that is too long, a NUL
        return False


def exam_of_dicom(path: Path) -> Exam | None:
    """The modality and regions that the file's header states; None for a file that is missing or damaged, or no DICOM.

    BodyPartExamined counts before the names of study, series and protocol. The modality OT ("other") is what scanners
    of films write, too, so a name that states a modality counts before it.
    """
    try:
        with files.open_regular_file(path, MAX_BYTES) as dicom_file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values of the file
            header = _header(dicom_file, path)
    except InputError:
        return None
    except Exception:  # noqa: BLE001  pydicom raises classes without number on damaged files
        return None
    if header is None:
        return None
    names_exam = Exam()
    for tag in _NAMES:
        names_exam = names_exam.completed_by(exam_of(header[tag]))
    stated_modality = modality_of(header["Modality"])
    modality = None if stated_modality is Modality.OT and names_exam.modality is not None else stated_modality
    return Exam(modality, regions_of(header["BodyPartExamined"])).completed_by(names_exam)


def _header(dicom_file: BinaryIO, path: Path) -> dict[str, str] | None:
    """The values of `_TAGS`, empty where a file has none; None for a file that is no DICOM, or a deflated one, which
    pydicom would inflate as a whole.
    """
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if dicom_file.read(_PREAMBLE + 4)[_PREAMBLE:] != b"DICM":
        return None
    if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return None
    dicom_file.seek(0)
    dataset = dcmread(dicom_file, stop_before_pixels=True, specific_tags=list(_TAGS), defer_size=BLOCK)
    return {tag: str(dataset.get(tag) or "") for tag in _TAGS}
