"""The image files of an invented study: PNG, and for some also DICOM with the tags of a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from kgp_loaders.phantom.findings import View
from kgp_loaders.phantom.radiograph import draw
from kgp_loaders.phantom.studies import Study

DICOM_EVERY: Final = 8  # studies
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage - For Presentation
_UID: Final = "2.25"  # the root of UIDs made of a number


def write_images(folder: Path, study: Study, *, seed: int, size: int) -> None:
    """Draw the images of a study and write them where MIMIC-CXR-JPG keeps them, below `folder`."""
    place = folder / study.folder / f"s{study.study}"
    place.mkdir(parents=True)
    for number, (view, image) in enumerate(zip(study.views, study.images, strict=True)):
        lateral = view == "LATERAL"
        # one generator a patient's view: the two images of a study show one chest
        rng = np.random.default_rng([seed, study.subject, int(lateral)])
        pixels = draw(View.LATERAL if lateral else View.FRONTAL, study.shown, rng, size)
        Image.fromarray(pixels).save(place / f"{image}.png", compress_level=6)
        if study.number % DICOM_EVERY == 0:
            _write_dicom(place / f"{image}.dcm", pixels, study, view, number)


def _write_dicom(path: Path, pixels: NDArray[np.uint8], study: Study, view: str, number: int) -> None:
    data = Dataset()
    data.SOPClassUID = _STORAGE
    data.StudyInstanceUID = f"{_UID}.{study.study}"
    data.SeriesInstanceUID = f"{_UID}.{study.study}.{number + 1}"
    data.SOPInstanceUID = f"{_UID}.{study.study}.{number + 1}.1"
    data.StudyDate = str(study.date)
    data.StudyTime = study.time
    data.Modality = "DX"
    data.PatientID = str(study.subject)
    data.PatientName = ""
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "invented by kgplatform, no patient"
    data.StudyID = str(study.study)
    data.SeriesNumber = number + 1
    data.InstanceNumber = 1
    data.BodyPartExamined = "CHEST"
    data.ViewPosition = "LL" if view == "LATERAL" else view
    data.PatientOrientation = ["A", "F"] if view == "LATERAL" else ["L", "F"]
    data.PresentationIntentType = "FOR PRESENTATION"
    data.BurnedInAnnotation = "NO"
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelSpacing = [round(430 / pixels.shape[0], 4)] * 2  # mm: the film is 43 cm high
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OB"
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(path, data, enforce_file_format=True)
