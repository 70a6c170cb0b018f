"""Radiographs from files that may be damaged or hostile: PNG, JPEG, TIFF, DICOM, as grey values of 8 bits.

What reading takes is worked out from the file's header and refused before anything is decoded: a blank image of 50
million pixels is a file of 50 kB.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from kgplatform import codestreams, files
from kgplatform.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from pydicom.dataset import Dataset

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm")
MAX_PIXELS: Final = 50_000_000  # a chest radiograph has some 9 million
MAX_BYTES: Final = 200_000_000
MEMORY: Final = 230_000_000  # bytes that reading an image may take ...
MEMORY_PER_BYTE: Final = 16  # ... and for each byte of its file: large images that are no bombs are large files
BLOCK: Final = 1 << 20  # pixels that are floating-point numbers at a time
_BYTES_OF_MODE: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # a pixel in Pillow; 4 in others


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
    with files.opened(path, MAX_BYTES) as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's quote values of the file
                return _dicom(file, path) if path.suffix.lower() == ".dcm" else _plain(file, path, draft)
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


def _check_memory(path: Path, file: BinaryIO, pixels: int, needed: int) -> None:
    """Raise `InputError` where an image has too many pixels, or reading it takes more bytes than its file warrants."""
    if pixels > MAX_PIXELS or needed > MEMORY + MEMORY_PER_BYTE * os.fstat(file.fileno()).st_size:
        hint = "Make it smaller; a chest radiograph has some 9 million pixels."
        raise InputError(f"is too large an image: {pixels:,} pixels", hint, path=path)


def _plain(file: BinaryIO, path: Path, draft: int | None) -> Image:
    from PIL import Image

    with Image.open(file, formats=("PNG", "JPEG", "TIFF")) as image:
        whole = image.width * image.height
        if whole > MAX_PIXELS:
            _check_memory(path, file, whole, 0)
        coefficients = 2 * len(image.getbands()) * whole if "progressive" in image.info else 0
        if draft is not None:
            image.draft("L", (draft, draft))
        pixels, each = image.width * image.height, _BYTES_OF_MODE.get(image.mode, 4)
        copies = 2 if image.format == "TIFF" else 1  # a strip may be the whole image
        _check_memory(path, file, whole, pixels * (each * copies + 1) + coefficients + _tile(image))
        return _grey(image)


def _tile(image: Image) -> int:
    """The bytes of a tile of a TIFF file, which may be larger than the image."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    width, height = tags.get(322, 0), tags.get(323, 0)
    return 4 * int(width) * int(height)


def _grey(image: Image) -> Image:
    """8 bits a pixel; images of more are stretched over their range, some rows at a time."""
    from PIL import Image

    if image.mode not in ("I", "I;16", "I;16B", "F"):
        return image.convert("L")
    extrema: list[Any] = [value for rows in _bands(image) for value in rows[1].convert("F").getextrema()]
    low, high = float(min(extrema)), float(max(extrema))
    scale = 255.0 / ((high - low) or 1.0)
    grey = Image.new("L", image.size)
    for top, rows in _bands(image):
        grey.paste(rows.convert("F").point(lambda value: value * scale - low * scale).convert("L"), (0, top))
    return grey


def _bands(image: Image) -> Iterator[tuple[int, Image]]:
    """The image in bands of `BLOCK` pixels, each with its first row."""
    height = max(1, BLOCK // image.width)
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(image.height, top + height)))


def _dicom(file: BinaryIO, path: Path) -> Image:
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
    _check_header(dcmread(file, stop_before_pixels=True, defer_size=BLOCK), file, path)
    file.seek(0)
    data = dcmread(file)
    _check_pixels(data, path)
    values = data.pixel_array
    if values.ndim != 2:
        raise _bad(path)
    height = max(1, BLOCK // values.shape[1])
    bands = [slice(top, top + height) for top in range(0, values.shape[0], height)]
    extrema = [(band.min(), band.max()) for band in (apply_voi_lut(values[rows], data) for rows in bands)]
    low, high = float(min(low for low, _ in extrema)), float(max(high for _, high in extrema))
    grey = np.empty(values.shape, np.uint8)
    for rows in bands:
        stretched = (np.asarray(apply_voi_lut(values[rows], data), float) - low) / ((high - low) or 1.0) * 255
        grey[rows] = 255 - stretched if data.PhotometricInterpretation == "MONOCHROME1" else stretched
    return Image.fromarray(grey)


def _check_header(data: Dataset, file: BinaryIO, path: Path) -> None:
    """Raise `InputError` for an image that cannot be decoded here, or that takes too much memory."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEG2000TransferSyntaxes

    syntax = data.file_meta.TransferSyntaxUID
    frames, samples, bits = int(data.get("NumberOfFrames", 1) or 1), int(data.SamplesPerPixel), int(data.BitsAllocated)
    if frames != 1 or samples != 1:
        what = f"{frames:,} frames" if frames != 1 else "a colour image"
        raise InputError(f"is a DICOM file with {what}, where one grey image is needed", "Convert it.", path=path)
    pixels, each = int(data.Rows) * int(data.Columns), -(-bits // 8)
    if pixels < 1 or not 1 <= bits <= 64:
        raise _bad(path)
    needed = 4 + 5 * each if syntax in JPEG2000TransferSyntaxes else 3 * each
    _check_memory(path, file, pixels, pixels * (needed + 1))
    if not syntax.is_compressed:
        return
    try:
        decodable = get_decoder(syntax).is_available
    except NotImplementedError:
        decodable = False
    if not decodable:
        hint = "Install one (pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg), or decompress the file."
        raise InputError(f"no decoder for this DICOM file is installed: {syntax.name}", hint, path=path)


def _check_pixels(data: Dataset, path: Path) -> None:
    """Raise `InputError` where the compressed image announces, or holds, another size than the header."""
    from pydicom.encaps import get_frame
    from pydicom.uid import RLELossless

    syntax, rows, columns = data.file_meta.TransferSyntaxUID, int(data.Rows), int(data.Columns)
    if not syntax.is_compressed:
        return
    frame = get_frame(data.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        expected = rows * columns * -(-int(data.BitsAllocated) // 8)
        if codestreams.rle_unpacks_to(frame, 2 * expected) > 2 * expected:  # some writers pad it
            raise _bad(path)
        return
    size = codestreams.announced(frame)
    if size is None or size[:3] != (rows, columns, 1) or size.tiles > codestreams.MAX_TILES:
        raise _bad(path)
