"""Radiographs in plain image files, and images that show nothing; DICOM is in `test_dicom_image`."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

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


RAMP = np.tile(np.linspace(0, 4095, 9).astype(np.uint16), (9, 1))


def _write_tiff(path: Path, pixels: np.ndarray[Any, Any], photometric: int) -> Path:
    """An uncompressed TIFF; Pillow itself writes no image whose white is zero."""
    height, width = pixels.shape
    bits = 8 * pixels.itemsize
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
        (277, 3, 1), (278, 4, height), (279, 4, len(content)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, number) for tag, kind, number in tags)
    header = b"II*\0" + struct.pack("<I", 8 + len(content))
    path.write_bytes(header + content + struct.pack("<H", len(tags)) + entries + b"\0" * 4)
    return path


@pytest.mark.parametrize(
    ("pixels", "photometric", "ends"),
    [
        (RAMP * 16, 1, (0, 255)),
        (RAMP * 16, 0, (255, 0)),
        ((RAMP // 16).astype(np.uint8), 1, (0, 255)),
        ((RAMP // 16).astype(np.uint8), 0, (255, 0)),
    ],
)
def test_tiff_files_are_dark_where_their_photometric_interpretation_says_so(
    tmp_path: Path, pixels: np.ndarray[Any, Any], photometric: int, ends: tuple[int, int]
) -> None:
    row = np.asarray(radiograph.read_radiograph(_write_tiff(tmp_path / "a.tif", pixels, photometric)))[0]
    assert (row[0], row[-1]) == ends


@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_number_are_black_and_take_no_part_in_the_range(tmp_path: Path, damage: float) -> None:
    pixels = (RAMP / 4095).astype(np.float32)
    pixels[5, 5] = damage
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    grey = np.asarray(radiograph.read_radiograph(tmp_path / "a.tif"))
    assert grey[0].tolist() == [0, 31, 63, 95, 127, 159, 191, 223, 255]
    assert grey[5, 5] == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_images_are_turned_as_their_exif_orientation_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    pixels = np.zeros((48, 32), np.uint8)
    pixels[:16, :16] = 255  # top left
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif}
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", **options)
    grey = np.asarray(radiograph.read_radiograph(tmp_path / f"a{suffix}"))
    corners = {
        "top left": grey[8, 8], "top right": grey[8, -8], "bottom left": grey[-8, 8], "bottom right": grey[-8, -8],
    }  # fmt: skip
    # Exif 2.32, table 6: where row 0 and column 0 of the stored image are.
    expected = [
        "top left", "top right", "bottom right", "bottom left", "top left", "top right", "bottom right", "bottom left",
    ][orientation - 1]  # fmt: skip
    assert grey.shape == ((48, 32) if orientation < 5 else (32, 48))
    assert [corner for corner, value in corners.items() if value > 128] == [expected]


def test_a_tiff_of_several_pages_is_reported_and_one_with_a_thumbnail_is_read(tmp_path: Path) -> None:
    page, thumbnail = Image.fromarray((RAMP // 16).astype(np.uint8)), Image.new("L", (4, 4))
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    with pytest.raises(InputError, match="a TIFF file with several images"):
        radiograph.read_radiograph(tmp_path / "pages.tif")
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "thumbnail.tif", save_all=True, append_images=[thumbnail])
    with Image.open(tmp_path / "thumbnail.tif") as saved:
        saved.seek(1)
        is_marked = saved.tag_v2.get(254) == 1  # type: ignore[attr-defined]
    if is_marked:
        assert radiograph.read_radiograph(tmp_path / "thumbnail.tif").size == (9, 9)
