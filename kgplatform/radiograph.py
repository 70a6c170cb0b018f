"""Radiographs from files that may be damaged or hostile: PNG, JPEG, TIFF, DICOM, as grey values of 8 bits."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgplatform.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm")
MAX_PIXELS: Final = 50_000_000  # a chest radiograph has some 9 million
MAX_BYTES: Final = 200_000_000


def place(root: Path, path: str) -> Path | None:
    """Where an image of the graph lies below a folder; None for a path that leads out of it, or that can be none."""
    try:
        found = root / path
        return found if path and found.resolve().is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a loop of links (RuntimeError before Python 3.13), a NUL
        return None


def read(path: Path, draft: int | None = None) -> Image:
    """The picture, dark where many rays went through, as mode ``L``; a JPEG may come smaller, but not below `draft`
    pixels a side. Raises `InputError`, which quotes nothing of the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values of the file
            if path.stat().st_size > MAX_BYTES:
                raise _bad(path)
            return _dicom(path) if path.suffix.lower() == ".dcm" else _plain(path, draft)
    except FileNotFoundError:
        raise InputError("no such file", "Check the path.", path=path) from None
    except InputError:
        raise
    except Exception:  # noqa: BLE001  pydicom and Pillow raise classes without number on damaged files
        raise _bad(path) from None


def square(image: Image, size: int) -> Image:
    """The whole picture in the middle of a black square of that many pixels a side."""
    from PIL import Image

    scale = size / max(image.size)
    small = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX
    )
    if small.size == (size, size):
        return small
    padded = Image.new("L", (size, size))
    padded.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return padded


def _bad(path: Path) -> InputError:
    return InputError(
        "is no readable radiograph", "Give a whole PNG, JPEG, TIFF or DICOM file of one image.", path=path
    )


def _plain(path: Path, draft: int | None) -> Image:
    from PIL import Image

    with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _bad(path)
        if draft is not None:
            image.draft("L", (draft, draft))
        return _grey(image)


def _grey(image: Image) -> Image:
    """8 bits a pixel; images of more are stretched over their range."""
    if image.mode in ("I", "I;16", "I;16B", "F"):
        low, high = image.convert("F").getextrema()
        scale = 255.0 / ((float(high) - float(low)) or 1.0)  # type: ignore[arg-type]
        return image.convert("F").point(lambda value: value * scale - float(low) * scale).convert("L")  # type: ignore[arg-type]
    return image.convert("L")


def _dicom(path: Path) -> Image:
    import numpy as np
    from PIL import Image
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels.processing import apply_voi_lut
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if read_file_meta_info(path).TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        raise InputError(  # pydicom would inflate all of it, however much that is
            "is a deflated DICOM file, which is not read", "Convert it to another transfer syntax.", path=path
        )
    data = dcmread(path)
    if int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames", 1) or 1) > MAX_PIXELS:
        raise _bad(path)
    pixels = np.asarray(apply_voi_lut(data.pixel_array, data), dtype=float)
    if pixels.ndim != 2:
        raise _bad(path)
    pixels = (pixels - pixels.min()) / ((pixels.max() - pixels.min()) or 1.0) * 255
    if data.PhotometricInterpretation == "MONOCHROME1":
        pixels = 255 - pixels
    return Image.fromarray(pixels.astype(np.uint8))
