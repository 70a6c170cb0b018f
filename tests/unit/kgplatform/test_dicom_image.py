"""DICOM files become the grey image that a workstation shows (PS3.3 C.11), whatever their header states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from kgplatform import dicom_display, radiograph
from kgplatform.errors import InputError

SIDE = 9
RAMP = np.tile(np.linspace(0, 4095, SIDE).astype(np.uint16), (SIDE, 1))
ASCENDING = [0, 31, 63, 95, 127, 159, 191, 223, 255]
DESCENDING = [255 - grey for grey in ASCENDING]
quick = example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def write_dicom(
    path: Path,
    pixels: NDArray[Any] = RAMP,
    *,
    bits: int = 12,
    syntax: UID = ExplicitVRLittleEndian,
    preamble: bool = True,
    **elements: Any,
) -> Path:
    """A DICOM file of these stored values."""
    meta_information = FileMetaDataset()
    meta_information.TransferSyntaxUID = syntax
    meta_information.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    meta_information.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta_information, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta_information.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta_information.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16 if bits > 8 else 8
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
    for keyword, element in elements.items():
        setattr(dataset, keyword, element)
    if preamble:
        dataset.save_as(path, enforce_file_format=True)
    else:
        bare = Dataset()
        bare.update({element.tag: element for element in dataset})
        dcmwrite(path, bare, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return path


def first_row(path: Path) -> list[int]:
    row: list[int] = np.asarray(radiograph.read_radiograph(path))[0].tolist()
    return row


def table(entries: NDArray[np.uint16], first: int = 0, bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % (1 << 16), first, bits]
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def modality_table(entries: NDArray[np.uint16]) -> Dataset:
    item = table(entries)
    item.ModalityLUTType = "US"
    return item


FALLING = (65_535 - np.linspace(0, 65_535, 4_096)).astype(np.uint16)
WINDOWED = [0, 0, 127, 255, 255, 255, 255, 255, 255]  # centre 1024, width 1024 over the ramp


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, ASCENDING),
        ({"PhotometricInterpretation": "MONOCHROME1"}, DESCENDING),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, DESCENDING),
        ({"PresentationLUTShape": "INVERSE"}, DESCENDING),
        ({"PresentationLUTShape": "IDENTITY"}, ASCENDING),
        ({"WindowCenter": 1024, "WindowWidth": 1024}, WINDOWED),
        ({"WindowCenter": 0, "WindowWidth": 1024, "RescaleIntercept": -1024, "RescaleSlope": 1}, WINDOWED),
        ({"WindowCenter": 512, "WindowWidth": 512, "RescaleIntercept": 0, "RescaleSlope": 0.5}, WINDOWED),
        ({"RescaleIntercept": 4095, "RescaleSlope": -1}, DESCENDING),
        (
            {"RescaleIntercept": 4095, "RescaleSlope": -1, "PhotometricInterpretation": "MONOCHROME1"},
            ASCENDING,
        ),
        ({"RescaleIntercept": 4095, "RescaleSlope": -1, "WindowCenter": 2048, "WindowWidth": 4096}, DESCENDING),
        ({"ModalityLUTSequence": [modality_table(FALLING)]}, DESCENDING),
        ({"VOILUTSequence": [table(FALLING)]}, DESCENDING),
        ({"VOILUTSequence": [table(FALLING)], "PresentationLUTShape": "INVERSE"}, ASCENDING),
        (
            {"ModalityLUTSequence": [modality_table(FALLING)], "WindowCenter": 32768, "WindowWidth": 65536},
            DESCENDING,
        ),
        ({"WindowCenter": 2048, "WindowWidth": 0}, ASCENDING),
        ({"WindowCenter": 2048, "WindowWidth": -5}, ASCENDING),
        ({"WindowCenter": None, "WindowWidth": None}, ASCENDING),
        ({"WindowCenter": 60000, "WindowWidth": 10}, ASCENDING),  # it hides the whole image
        ({"WindowCenter": [1024, 2048], "WindowWidth": [1024, 4096]}, WINDOWED),
        ({"WindowCenter": [2048, 1024], "WindowWidth": [0, 1024]}, WINDOWED),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, ASCENDING),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, ASCENDING),
        ({"NumberOfFrames": 1}, ASCENDING),
    ],
    ids=str,
)
def test_grey_values_are_those_that_the_header_asks_for(
    tmp_path: Path, elements: Mapping[str, Any], expected: list[int]
) -> None:
    row = first_row(write_dicom(tmp_path / "a.dcm", **elements))
    assert np.abs(np.subtract(row, expected)).max() <= 1, row


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(2048.0, 1000.0), (100.5, 1.0), (3000.0, 2.0)])
def test_windows_follow_their_function(tmp_path: Path, function: str, centre: float, width: float) -> None:
    """The formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3, pixel by pixel."""

    def grey(value: float) -> float:
        if function == "SIGMOID":
            return 1 / (1 + math.exp(min(700.0, -4 * (value - centre) / width)))
        if function == "LINEAR_EXACT":
            return min(1.0, max(0.0, (value - centre) / width + 0.5))
        if value <= centre - 0.5 - (width - 1) / 2:
            return 0.0
        if value > centre - 0.5 + (width - 1) / 2:
            return 1.0
        return (value - (centre - 0.5)) / (width - 1) + 0.5

    path = write_dicom(tmp_path / "a.dcm", WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    assert first_row(path) == [int(grey(float(value)) * 255) for value in RAMP[0]]


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize(
    "window", [{}, {"WindowCenter": 1511.5, "WindowWidth": 1023, "VOILUTFunction": "LINEAR_EXACT"}]
)
def test_padding_is_black_and_takes_no_part_in_the_range(
    tmp_path: Path, photometric: str, window: Mapping[str, Any]
) -> None:
    pixels = (RAMP // 4 + 1000).astype(np.uint16)
    pixels[:, 0] = 0
    row = first_row(
        write_dicom(tmp_path / "a.dcm", pixels, PixelPaddingValue=0, PhotometricInterpretation=photometric, **window)
    )
    shares = (pixels[0, 1:].astype(float) - 1127) / (2023 - 1127) if not window else (pixels[0, 1:] - 1000.0) / 1023
    expected = [255 * share if photometric == "MONOCHROME2" else 255 - 255 * share for share in shares]
    assert row[0] == 0
    assert np.abs(np.subtract(row[1:], expected)).max() <= 1


def test_a_range_of_padding_is_black(tmp_path: Path) -> None:
    pixels = RAMP.copy()
    row = first_row(write_dicom(tmp_path / "a.dcm", pixels, PixelPaddingValue=1100, PixelPaddingRangeLimit=0))
    assert row[:3] == [0, 0, 0]
    assert row[3] == 0
    assert row[-1] == 255


def test_signed_values_and_bits_of_overlays_are_read(tmp_path: Path) -> None:
    signed = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    assert first_row(write_dicom(tmp_path / "signed.dcm", signed)) == ASCENDING
    with_overlay = RAMP.copy()
    with_overlay[::2] |= 0x8000
    assert first_row(write_dicom(tmp_path / "overlay.dcm", with_overlay)) == ASCENDING


@quick
@given(
    values=st.lists(st.integers(0, 4095), min_size=4, max_size=4),
    slope=st.sampled_from([1.0, -1.0, 0.25, 3.0]),
    intercept=st.sampled_from([0.0, -1024.0, 77.5]),
    first=st.integers(-200, 200),
    entries=st.lists(st.integers(0, 65_535), min_size=1, max_size=300),
    is_inverse=st.booleans(),
)
def test_lookup_tables_after_rescaling_agree_with_a_calculation_by_hand(
    tmp_path: Path, values: list[int], slope: float, intercept: float, first: int, entries: list[int], is_inverse: bool
) -> None:
    display = dicom_display.Display(
        slope, intercept, None, dicom_display.LookupTable(first, np.array(entries, np.uint16)), None, None, is_inverse
    )
    grey = display.grey(np.array([values], np.uint16))
    low, high = min(entries), max(entries)
    for value, grey_value in zip(values, grey[0].tolist(), strict=True):
        rescaled = value * slope + intercept
        entry = entries[min(max(int(np.rint(rescaled)) - first, 0), len(entries) - 1)]
        share = (entry - low) / ((high - low) or 1)
        assert grey_value == int(255 - 255 * share if is_inverse else 255 * share)


def test_large_images_are_the_same_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30), dtype=np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm", pixels, PixelPaddingValue=7, RescaleSlope=-2, RescaleIntercept=3, WindowCenter=-4000,
        WindowWidth=3000,
    )  # fmt: skip
    whole = np.asarray(radiograph.read_radiograph(path))
    monkeypatch.setattr(dicom_display, "BLOCK", 100)
    assert (np.asarray(radiograph.read_radiograph(path)) == whole).all()


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "a.dicom", "IM0001"])
def test_dicom_files_are_recognised_by_content_or_name(tmp_path: Path, name: str) -> None:
    assert first_row(write_dicom(tmp_path / name)) == ASCENDING


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_files_without_preamble_are_read(tmp_path: Path, syntax: UID) -> None:
    path = write_dicom(tmp_path / "a.dcm", syntax=syntax, preamble=False)
    assert path.read_bytes()[128:132] != b"DICM"
    assert first_row(path) == ASCENDING


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_files_are_read(tmp_path: Path, syntax: UID) -> None:
    import pydicom

    path = write_dicom(tmp_path / "a.dcm", np.kron(RAMP, np.ones((8, 8), np.uint16)))  # OpenJPEG needs some pixels
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)
    assert first_row(path)[::8] == ASCENDING


@pytest.mark.parametrize(
    "name",
    ["JPEG-lossy.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm",
     "MR_small_RLE.dcm", "JPEG2000.dcm", "CT_small.dcm", "ExplVR_BigEnd.dcm", "examples_palette.dcm"],
)  # fmt: skip
def test_files_of_pydicom_are_read_or_an_error_names_what_is_missing(name: str) -> None:
    file_name = get_testdata_file(name, download=False)
    if file_name is None:
        pytest.skip("pydicom does not come with this file")
    try:
        image = radiograph.read_radiograph(Path(str(file_name)))
    except InputError as error:
        assert "pylibjpeg-libjpeg" in (error.hint or ""), error.message
    else:
        assert len(set(image.getextrema())) > 1


def test_colour_images_are_read_by_their_luminance(tmp_path: Path) -> None:
    colours = np.zeros((SIDE, SIDE, 3), np.uint8)
    colours[:, :3, 0], colours[:, 3:6, 1], colours[:, 6:, 2] = 255, 255, 255
    path = write_dicom(tmp_path / "a.dcm", colours, bits=8, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert first_row(path) == [76] * 3 + [150] * 3 + [29] * 3  # ITU-R 601


def test_several_frames_are_reported_as_such(tmp_path: Path) -> None:
    pixels = np.concatenate([RAMP] * 3)
    path = write_dicom(tmp_path / "a.dcm", pixels, NumberOfFrames=3, Rows=SIDE)
    with pytest.raises(InputError, match="a DICOM file with 3 frames") as error:
        radiograph.read_radiograph(path)
    assert error.value.hint == "Save one of them as a file."


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "MG", "XA"])
def test_other_modalities_are_refused_where_a_radiograph_is_needed(tmp_path: Path, modality: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", Modality=modality)
    with pytest.raises(InputError, match=f"is not a radiograph: its header states {modality}") as error:
        radiograph.require_radiograph(path)
    assert "--any-modality" in (error.value.hint or "")
    assert radiograph.read_radiograph(path).size == (SIDE, SIDE)


@pytest.mark.parametrize("modality", ["DX", "CR", "OT", "", "RG"])
def test_radiographs_and_images_of_unknown_modality_are_read(tmp_path: Path, modality: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", Modality=modality)
    radiograph.require_radiograph(path)


def test_the_class_of_a_file_counts_where_the_modality_says_nothing(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", Modality="OT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    with pytest.raises(InputError, match="CT Image Storage"):
        radiograph.require_radiograph(path)


@quick
@given(content=st.binary(max_size=400), has_preamble=st.booleans())
def test_any_bytes_are_an_image_or_a_clear_error(tmp_path: Path, content: bytes, has_preamble: bool) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes((b"\0" * 128 + b"DICM" if has_preamble else b"") + content)
    with pytest.raises(InputError) as error:
        radiograph.read_radiograph(path)
    assert error.value.hint
