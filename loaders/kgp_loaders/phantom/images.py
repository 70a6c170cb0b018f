"""The image files of a synthetic study: PNG, and for some also DICOM with the tags of a real one."""

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
from kgp_loaders.phantom.radiograph import render_radiograph
from kgp_loaders.phantom.studies import SyntheticStudy

DICOM_EVERY: Final = 8  # studies
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage - For Presentation
_UID: Final = "2.25"  # the root of UIDs made of a number


def write_images(folder: Path, study: SyntheticStudy, *, seed: int, size: int) -> None:
    """Draw the images of a study and write them where MIMIC-CXR-JPG keeps them, below `folder`."""
    study_folder = folder / study.folder / f"s{study.study}"
    study_folder.mkdir(parents=True)
    for image_number, (view, image_id) in enumerate(zip(study.views, study.images, strict=True)):
        is_lateral = view == "LATERAL"
        # one generator a patient's view: the two images of a study show one chest
        rng = np.random.default_rng([seed, study.subject, int(is_lateral)])
        pixels = render_radiograph(View.LATERAL if is_lateral else View.FRONTAL, study.findings, rng, size)
        Image.fromarray(pixels).save(study_folder / f"{image_id}.png", compress_level=6)
        if study.number % DICOM_EVERY == 0:
            _write_dicom(study_folder / f"{image_id}.dcm", pixels, study, view, image_number)


def _write_dicom(
    dicom_path: Path, pixels: NDArray[np.uint8], study: SyntheticStudy, view: str, image_number: int
) -> None:
    dataset = Dataset()
    dataset.SOPClassUID = _STORAGE
    dataset.StudyInstanceUID = f"{_UID}.{study.study}"
    dataset.SeriesInstanceUID = f"{_UID}.{study.study}.{image_number + 1}"
    dataset.SOPInstanceUID = f"{_UID}.{study.study}.{image_number + 1}.1"
    dataset.StudyDate = str(study.date)
    dataset.StudyTime = study.time
    dataset.Modality = "DX"
    dataset.PatientID = str(study.subject)
    dataset.PatientName = ""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "invented by kgplatform, no patient"
    dataset.StudyID = str(study.study)
    dataset.SeriesNumber = image_number + 1
    dataset.InstanceNumber = 1
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "LL" if view == "LATERAL" else view
    dataset.PatientOrientation = ["A", "F"] if view == "LATERAL" else ["L", "F"]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelSpacing = [round(430 / pixels.shape[0], 4)] * 2  # mm: the film is 43 cm high
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(dicom_path, dataset, enforce_file_format=True)
