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
from kgplatform.extras import installer

if TYPE_CHECKING:
    from PIL.Image import Image
    from pydicom.dataset import Dataset

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm")
MIMIC_SUFFIXES: Final = (".jpg", ".png", ".dcm")  # of MIMIC-CXR-JPG and MIMIC-CXR, the first that exists
LEAST_SIDE: Final = 16  # pixels: a smaller image shows nothing
MAX_PIXELS: Final = 50_000_000  # a chest radiograph has about 9 million
MAX_BYTES: Final = 200_000_000
MEMORY: Final = 230_000_000  # bytes that reading an image may take ...
MEMORY_PER_BYTE: Final = 16  # ... and for each byte of its file: large images that are not bombs are large files
BLOCK: Final = 1 << 20  # pixels that are floating-point numbers at a time
_BYTES_PER_PIXEL: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # a pixel in Pillow; 4 in others


def resolve_image_path(root: Path, path: str) -> Path | None:
    """Where an image of the graph lies below a folder; None for a path that leads out of it, or that can be none."""
    try:
        image_path = root / path
        return image_path if path and image_path.resolve().is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a loop of links (RuntimeError before Python 3.13), a NUL
        return None


def read_radiograph(path: Path, draft: int | None = None, *, blank: bool = True) -> Image:
    """The picture, dark where many rays went through, as mode ``L``; a JPEG may come smaller, but not below `draft`
    pixels a side. Raises `InputError`, which quotes nothing of the file; without `blank` also for an image that shows
    nothing: a few pixels, or all of one grey value.
    """
    image = _read(path, draft)
    if not blank and min(image.size) < LEAST_SIDE:
        raise InputError(
            f"is not a radiograph: {image.width} x {image.height} pixels", "Give a complete image.", path=path
        )
    if not blank and len(set(image.getextrema())) == 1:
        raise InputError("is blank: all its pixels are equal", "Give an image that shows something.", path=path)
    return image


def _read(path: Path, draft: int | None) -> Image:
    with files.open_regular_file(path, MAX_BYTES) as image_file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's quote values of the file
                return _dicom(image_file, path) if path.suffix.lower() == ".dcm" else _plain(image_file, path, draft)
        except InputError:
            raise
        except Exception:  # noqa: BLE001  pydicom and Pillow raise classes without number on damaged files
            raise _bad(path) from None


def square(image: Image, size: int) -> Image:
    """The whole picture in the middle of a black square of that many pixels a side."""
    from PIL import Image

    scale = size / max(image.size)
    scaled_image = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX
    )
    if scaled_image.size == (size, size):
        return scaled_image
    padded_image = Image.new("L", (size, size))
    padded_image.paste(scaled_image, ((size - scaled_image.width) // 2, (size - scaled_image.height) // 2))
    return padded_image


def _bad(image_path: Path) -> InputError:
    return InputError(
        "is not a readable radiograph", "Give a complete PNG, JPEG, TIFF or DICOM file of one image.", path=image_path
    )


def _check_memory(image_path: Path, image_file: BinaryIO, pixel_count: int, needed_bytes: int) -> None:
    """Raise `InputError` where an image has too many pixels, or reading it takes more bytes than its file warrants."""
    if pixel_count > MAX_PIXELS or needed_bytes > MEMORY + MEMORY_PER_BYTE * os.fstat(image_file.fileno()).st_size:
        hint = "Make it smaller; a chest radiograph has about 9 million pixels."
        raise InputError(f"is too large an image: {pixel_count:,} pixels", hint, path=image_path)


def _plain(image_file: BinaryIO, image_path: Path, draft: int | None) -> Image:
    from PIL import Image

    with Image.open(image_file, formats=("PNG", "JPEG", "TIFF")) as image:
        full_pixels = image.width * image.height
        if full_pixels > MAX_PIXELS:
            _check_memory(image_path, image_file, full_pixels, 0)
        coefficient_bytes = 2 * len(image.getbands()) * full_pixels if "progressive" in image.info else 0
        if draft is not None:
            image.draft("L", (draft, draft))
        draft_pixels, bytes_per_pixel = image.width * image.height, _BYTES_PER_PIXEL.get(image.mode, 4)
        copy_count = 2 if image.format == "TIFF" else 1  # a strip may be the whole image
        _check_memory(
            image_path,
            image_file,
            full_pixels,
            draft_pixels * (bytes_per_pixel * copy_count + 1) + coefficient_bytes + _tile(image),
        )
        return _grey(image)


def _tile(image: Image) -> int:
    """The bytes of a tile of a TIFF file, which may be larger than the image."""
    tiff_tags: dict[int, Any] = getattr(image, "tag_v2", {})
    tile_width, tile_height = tiff_tags.get(322, 0), tiff_tags.get(323, 0)
    return 4 * int(tile_width) * int(tile_height)


def _grey(image: Image) -> Image:
    """8 bits a pixel; images of more are stretched over their range, some rows at a time."""
    from PIL import Image

    if image.mode not in ("I", "I;16", "I;16B", "F"):
        return image.convert("L")
    band_extrema: list[Any] = [grey_value for band in _bands(image) for grey_value in band[1].convert("F").getextrema()]
    lowest, highest = float(min(band_extrema)), float(max(band_extrema))
    scale = 255.0 / ((highest - lowest) or 1.0)
    grey_image = Image.new("L", image.size)
    for top_row, band in _bands(image):
        grey_image.paste(
            band.convert("F").point(lambda grey_value: grey_value * scale - lowest * scale).convert("L"), (0, top_row)
        )
    return grey_image


def _bands(image: Image) -> Iterator[tuple[int, Image]]:
    """The image in bands of `BLOCK` pixels, each with its first row."""
    band_height = max(1, BLOCK // image.width)
    for top_row in range(0, image.height, band_height):
        yield top_row, image.crop((0, top_row, image.width, min(image.height, top_row + band_height)))


def _dicom(image_file: BinaryIO, image_path: Path) -> Image:
    import numpy as np
    from PIL import Image
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels.processing import apply_voi_lut
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if read_file_meta_info(image_path).TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        raise InputError(  # pydicom would inflate all of it, however much that is
            "is a deflated DICOM file, which is not supported",
            "Convert it to another transfer syntax.",
            path=image_path,
        )
    _check_header(dcmread(image_file, stop_before_pixels=True, defer_size=BLOCK), image_file, image_path)
    image_file.seek(0)
    dataset = dcmread(image_file)
    _check_pixels(dataset, image_path)
    stored_pixels = dataset.pixel_array
    if stored_pixels.ndim != 2:
        raise _bad(image_path)
    band_height = max(1, BLOCK // stored_pixels.shape[1])
    row_bands = [slice(top_row, top_row + band_height) for top_row in range(0, stored_pixels.shape[0], band_height)]
    band_extrema = [
        (band_pixels.min(), band_pixels.max())
        for band_pixels in (apply_voi_lut(stored_pixels[row_band], dataset) for row_band in row_bands)
    ]
    lowest, highest = (
        float(min(lowest for lowest, _ in band_extrema)),
        float(max(highest for _, highest in band_extrema)),
    )
    grey_pixels = np.empty(stored_pixels.shape, np.uint8)
    for row_band in row_bands:
        stretched_band = (
            (np.asarray(apply_voi_lut(stored_pixels[row_band], dataset), float) - lowest)
            / ((highest - lowest) or 1.0)
            * 255
        )
        grey_pixels[row_band] = (
            255 - stretched_band if dataset.PhotometricInterpretation == "MONOCHROME1" else stretched_band
        )
    return Image.fromarray(grey_pixels)


def _check_header(dataset: Dataset, image_file: BinaryIO, image_path: Path) -> None:
    """Raise `InputError` for an image that cannot be decoded here, or that takes too much memory."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEG2000TransferSyntaxes

    transfer_syntax = dataset.file_meta.TransferSyntaxUID
    frame_count, sample_count, bits_per_sample = (
        int(dataset.get("NumberOfFrames", 1) or 1),
        int(dataset.SamplesPerPixel),
        int(dataset.BitsAllocated),
    )
    if frame_count != 1 or sample_count != 1:
        content = f"{frame_count:,} frames" if frame_count != 1 else "a colour image"
        raise InputError(
            f"is a DICOM file with {content}, where one greyscale image is needed", "Convert it.", path=image_path
        )
    pixel_count, bytes_per_sample = int(dataset.Rows) * int(dataset.Columns), -(-bits_per_sample // 8)
    if pixel_count < 1 or not 1 <= bits_per_sample <= 64:
        raise _bad(image_path)
    bytes_per_pixel = 4 + 5 * bytes_per_sample if transfer_syntax in JPEG2000TransferSyntaxes else 3 * bytes_per_sample
    _check_memory(image_path, image_file, pixel_count, pixel_count * (bytes_per_pixel + 1))
    if not transfer_syntax.is_compressed:
        return
    try:
        is_decodable = get_decoder(transfer_syntax).is_available
    except NotImplementedError:
        is_decodable = False
    if not is_decodable:
        packages = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        hint = f"Install one ({installer()} {packages}), or decompress the file."
        raise InputError(f"no decoder for this DICOM file is installed: {transfer_syntax.name}", hint, path=image_path)


def _check_pixels(dataset: Dataset, image_path: Path) -> None:
    """Raise `InputError` where the compressed image announces, or holds, another size than the header."""
    from pydicom.encaps import get_frame
    from pydicom.uid import RLELossless

    transfer_syntax, row_count, column_count = (
        dataset.file_meta.TransferSyntaxUID,
        int(dataset.Rows),
        int(dataset.Columns),
    )
    if not transfer_syntax.is_compressed:
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if transfer_syntax == RLELossless:
        expected_bytes = row_count * column_count * -(-int(dataset.BitsAllocated) // 8)
        if codestreams.rle_unpacks_to(frame, 2 * expected_bytes) > 2 * expected_bytes:  # some writers pad it
            raise _bad(image_path)
        return
    announced_size = codestreams.announced(frame)
    if (
        announced_size is None
        or announced_size[:3] != (row_count, column_count, 1)
        or announced_size.tiles > codestreams.MAX_TILES
    ):
        raise _bad(image_path)
