"""Radiographs of the DICOM kinds that are read, and of one that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from kgplatform import radiograph
from kgplatform.errors import InputError


def _write_dicom(path: Path, syntax: UID) -> Path:
    meta_information = FileMetaDataset()
    meta_information.TransferSyntaxUID = syntax
    meta_information.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    meta_information.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta_information, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns = 2, 3
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = np.arange(0, 600, 100, dtype=np.uint16).tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_dicom_file_is_stretched_over_its_range(tmp_path: Path) -> None:
    image = radiograph.read_radiograph(_write_dicom(tmp_path / "a.dcm", ExplicitVRLittleEndian))
    assert np.asarray(image).tolist() == [[0, 51, 102], [153, 204, 255]]


@pytest.mark.parametrize(
    ("size", "grey", "message"),
    [
        ((64, 64), 0, "is blank"),
        ((64, 64), 128, "is blank"),
        ((3, 3), None, "3 x 3 pixels"),
        ((900, 2), None, "900 x 2"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_that_shows_nothing_is_refused_where_that_matters(
    tmp_path: Path, size: tuple[int, int], grey: int | None, message: str, suffix: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, size[::-1], dtype=np.uint8)
    image_path = tmp_path / f"a{suffix}"
    (Image.fromarray(pixels) if grey is None else Image.new("L", size, grey)).save(image_path)
    assert radiograph.read_radiograph(image_path).size == size, "a training leaves it in"
    with pytest.raises(InputError, match=message):
        radiograph.read_radiograph(image_path, blank=False)


def test_a_small_image_that_shows_something_is_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 17), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert radiograph.read_radiograph(tmp_path / "a.png", 8, blank=False).size == (17, 16)


def test_one_that_inflates_to_who_knows_how_much_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a deflated DICOM file") as refusal:
        radiograph.read_radiograph(_write_dicom(tmp_path / "a.dcm", DeflatedExplicitVRLittleEndian))
    assert "Convert it" in refusal.value.hint
