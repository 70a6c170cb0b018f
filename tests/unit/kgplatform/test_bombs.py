"""Small files that unpack to much, or have no end: refused before they are unpacked, or read within bounds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kgplatform import files, radiograph
from kgplatform.errors import InputError
from tests import ROOT, bomb_files, bombs

pytestmark = pytest.mark.slow

REFUSED = {
    "DICOM RLE, 49 million pixels": "too large an image",
    "DICOM RLE, 64 pixels announced, 96 MB held": "not a readable radiograph",
    "DICOM JPEG 2000, 64 pixels announced, 36 million held": "not a readable radiograph",
    "DICOM, 65,535 frames of 49 million pixels announced": "65,535 frames",
    "TIFF with a tile of 1 GB": "too large an image",
    "Parquet, 300 million equal rows": "announces 300,000,000 rows",
    "Parquet, a column of lists": "holds list",
    "Parquet of questions, 64 times one image of 30 MB": "unpacks to",
    "workbook, a sheet of 1 GB": "too large",
    "YAML, a billion laughs": "YAML aliases",
    "JSON nested 500,000 deep": "not JSON",
    "a FIFO named .png": "not a regular file",
    "a link to /dev/zero named .csv": "not a regular file",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bomb_is_refused_by_one_line(tmp_path: Path, name: str) -> None:
    bomb_path = bombs.write_bomb(name, tmp_path)
    with pytest.raises(InputError, match=REFUSED[name]) as raised:
        bombs.BOMBS[name][2](bomb_path)
    assert "\n" not in raised.value.message
    assert raised.value.hint


@pytest.mark.long
@pytest.mark.parametrize("name", bombs.BOMBS)
def test_reading_a_bomb_takes_at_most_300_mb_and_2_seconds(tmp_path: Path, name: str) -> None:
    bomb_path = bombs.write_bomb(name, tmp_path)
    command = [sys.executable, "-m", "tests.bombs", name, str(bomb_path)]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert completed.returncode == 0, completed.stderr
    measured = json.loads(completed.stdout.splitlines()[-1])
    print(
        f"\n{name}: {bomb_path.lstat().st_size / 1000:,.0f} kB, {measured['mb']} MB, "
        f"{measured['s']} s, {measured['end']}"
    )
    assert measured["mb"] <= 300
    assert measured["s"] <= 2


def test_a_radiograph_of_nine_million_pixels_is_read_exactly(tmp_path: Path) -> None:
    pixel_values = np.random.default_rng(0).integers(100, 4_096, (3_000, 3_000), dtype=np.uint16)
    bomb_files.write_inconsistent_dicom(tmp_path / "a.dcm", bomb_files.NATIVE, 3_000, 3_000, pixel_values.tobytes())
    image = np.asarray(radiograph.read_radiograph(tmp_path / "a.dcm"))
    expected_grey = (pixel_values - float(pixel_values.min())) / float(pixel_values.max() - pixel_values.min()) * 255
    assert (image == expected_grey.astype(np.uint8)).all()


def test_grey_of_16_bits_is_stretched_the_same_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    pixel_values = np.random.default_rng(0).integers(0, 60_000, (64, 50), dtype=np.uint16)
    Image.fromarray(pixel_values).save(tmp_path / "a.png")
    unbanded_grey = np.asarray(radiograph.read_radiograph(tmp_path / "a.png"))
    monkeypatch.setattr(radiograph, "BLOCK", 150)
    assert (np.asarray(radiograph.read_radiograph(tmp_path / "a.png")) == unbanded_grey).all()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"])
def test_a_dicom_file_without_its_decoder_says_which_is_missing(
    tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydicom.pixels.decoders.base import Decoder

    bomb_files.write_inconsistent_dicom(tmp_path / "a.dcm", bomb_files.J2K, 8, 8, b"\0" * 64)
    dicom_path = tmp_path / "a.dcm"
    dicom_path.write_bytes(
        dicom_path.read_bytes().replace(bomb_files.J2K.encode(), syntax.encode())
    )  # of the same length
    monkeypatch.setattr(Decoder, "is_available", False)
    with pytest.raises(InputError, match="no decoder is installed") as raised:
        radiograph.read_radiograph(dicom_path)
    assert "decompress" in raised.value.hint


def test_files_are_regular_bounded_and_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert files.read_bytes(tmp_path / "link", 5) == b"12345"
    for file_path, message in (
        (tmp_path / "a", "more than 4 bytes"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "a" / "b", "no such file"),
        (tmp_path / "loop", "cannot be read"),
        (tmp_path, "this is a folder"),
        (Path("/dev/zero"), "not a regular file"),
        (Path("/proc/self/status"), "more than 4 bytes"),
        (tmp_path / "a\0b", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            files.read_bytes(file_path, 4)
