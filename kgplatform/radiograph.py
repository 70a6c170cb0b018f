"""Radiographs from files that may be damaged or hostile: PNG, JPEG, TIFF, DICOM, as grey values of 8 bits.

What reading takes is worked out from the file's header and refused before anything is decoded: a blank image of 50
million pixels is a file of 50 kB.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from kgplatform import dicom_image, files
from kgplatform.errors import InputError
from kgplatform.image_limits import BLOCK, MAX_BYTES, MAX_PIXELS, check_memory, several_images, unreadable

if TYPE_CHECKING:
    from PIL.Image import Image

PLAIN_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
SUFFIXES: Final = (*PLAIN_SUFFIXES, ".dcm", ".dicom")
IMAGE_FOLDERS: Final = ("images", "images/images_normalized", "images_normalized")  # of OpenI, R2Gen, Kaggle
LEAST_SIDE: Final = 16  # pixels: a smaller image shows nothing
_DEEP_MODES: Final = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # of Pillow, with more than 8 bits a pixel
# Tags of TIFF and Exif.
_SUBFILE_TYPE: Final = 254
_PHOTOMETRIC: Final = 262
_WHITE_IS_ZERO: Final = 0
_ORIENTATION: Final = 274
# How an image of each orientation is turned: members of Pillow's `Transpose`.
_TURNS: Final = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
_BYTES_PER_PIXEL: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # a pixel in Pillow; 4 in others


def resolve_image_path(root: Path, path: str) -> Path | None:
    """Where an image of the graph lies below a folder; None for a path that leads out of it, or that can be none."""
    try:
        image_path = root / path
        return image_path if path and image_path.resolve().is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a loop of links (RuntimeError before Python 3.13), a NUL
        return None


def find_image(root: Path, path: str) -> Path | None:
    """Where an image of the graph lies below a folder: with that path, or with one that differs only in its extensions
    (`X.dcm.png`, `X.dcm.jpg`, `X.dcm`), in the folder itself or in one of those in which collections keep their images
    (`IMAGE_FOLDERS`). The path below `root` where there is none of them; None for a path that leads out of the folder,
    or that can be none.
    """
    named_path = resolve_image_path(root, path)
    if named_path is None:
        return None
    try:
        if named_path.is_file():
            return named_path
        for image_folder in ("", *IMAGE_FOLDERS):
            wanted_path = root / image_folder / path
            file_name = _names_by_stem(wanted_path.parent).get(_stem(wanted_path.name))
            if file_name is not None:
                relative_path = (wanted_path.parent / file_name).relative_to(root).as_posix()
                return resolve_image_path(root, relative_path) or named_path
    except (OSError, ValueError):
        return named_path
    return named_path


def _stem(file_name: str) -> str:
    """The name without the endings of image files: of `X.dcm.png` X."""
    while (suffix := Path(file_name).suffix) and suffix.lower() in SUFFIXES:
        file_name = file_name[: -len(suffix)]
    return file_name


def _names_by_stem(folder: Path) -> Mapping[str, str]:
    try:
        return _listed(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _listed(folder: Path, modified_ns: int) -> Mapping[str, str]:
    """The images in a folder by their stem; of several, the first by `SUFFIXES`."""
    names: dict[str, str] = {}
    ranks = {suffix: rank for rank, suffix in enumerate(SUFFIXES)}
    for entry in sorted(folder.iterdir(), key=lambda entry: (ranks.get(entry.suffix.lower(), len(ranks)), entry.name)):
        if entry.suffix.lower() in ranks:
            names.setdefault(_stem(entry.name), entry.name)
    return names


def require_radiograph(path: Path) -> None:
    """Raise `InputError` for a DICOM file whose header states that it is another image than a projection radiograph
    (CT, MR, ultrasound, mammography …). Other files pass, damaged ones, too: reading them says what is wrong.
    """
    if path.suffix.lower() in PLAIN_SUFFIXES:
        return
    try:
        with files.open_regular_file(path, MAX_BYTES) as image_file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            is_dicom = dicom_image.is_dicom(image_file, path)
            kind = dicom_image.other_image_kind(image_file, path) if is_dicom else None
    except Exception:  # noqa: BLE001  as in `_read`
        return
    if kind is not None:
        hint = "Give radiographs (CR, DX); --any-modality processes other images, too."
        raise InputError(f"is not a radiograph: its header states {kind}", hint, path=path)


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


read = read_radiograph  # the name up to version 0.1


def _read(path: Path, draft: int | None) -> Image:
    with files.open_regular_file(path, MAX_BYTES) as image_file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's quote values of the file
                if dicom_image.is_dicom(image_file, path):
                    return dicom_image.read_dicom(image_file, path)
                return _plain(image_file, path, draft)
        except InputError:
            raise
        except Exception:  # noqa: BLE001  pydicom and Pillow raise classes without number on damaged files
            raise unreadable(path) from None


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


def _plain(image_file: BinaryIO, image_path: Path, draft: int | None) -> Image:
    from PIL import Image

    with Image.open(image_file, formats=("PNG", "JPEG", "TIFF")) as image:
        full_pixels = image.width * image.height
        if full_pixels > MAX_PIXELS:
            check_memory(image_path, image_file, full_pixels, 0)
        if _has_further_images(image):
            raise several_images(image_path, f"a {image.format} file with several images")
        coefficient_bytes = 2 * len(image.getbands()) * full_pixels if "progressive" in image.info else 0
        if draft is not None:
            image.draft("L", (draft, draft))
        draft_pixels, bytes_per_pixel = image.width * image.height, _BYTES_PER_PIXEL.get(image.mode, 4)
        copy_count = 2 if image.format == "TIFF" else 1  # a strip may be the whole image
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        check_memory(
            image_path,
            image_file,
            full_pixels,
            draft_pixels * (bytes_per_pixel * copy_count + (1 if turn is None else 2))
            + coefficient_bytes
            + _tile(image),
        )
        # Pillow turns a TIFF image as it reads it, and inverts those of 8 bits.
        is_inverse = image.mode in _DEEP_MODES and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        is_turned = image.format == "TIFF"
        grey_image = _grey(image, is_inverse=is_inverse)
        return grey_image if turn is None or is_turned else grey_image.transpose(Image.Transpose(turn))


def _has_further_images(image: Image) -> bool:
    """Whether the file holds more images than this one and a smaller copy of it. What a camera adds to a JPEG does not
    count.
    """
    if image.format not in ("TIFF", "PNG") or not getattr(image, "is_animated", False):
        return False
    if image.format == "PNG":
        return True
    image.seek(1)
    is_smaller_copy = bool(getattr(image, "tag_v2", {}).get(_SUBFILE_TYPE, 0) & 1)
    image.seek(0)
    return not is_smaller_copy


def _tile(image: Image) -> int:
    """The bytes of a tile of a TIFF file, which may be larger than the image."""
    tiff_tags: dict[int, Any] = getattr(image, "tag_v2", {})
    tile_width, tile_height = tiff_tags.get(322, 0), tiff_tags.get(323, 0)
    return 4 * int(tile_width) * int(tile_height)


def _grey(image: Image, *, is_inverse: bool) -> Image:
    """8 bits a pixel; images of more are stretched over their range, some rows at a time. Pixels that are no number
    are black.
    """
    import numpy as np
    from PIL import Image

    if image.mode not in _DEEP_MODES:
        return image.convert("L")
    band_extrema = [
        (float(finite.min()), float(finite.max()))
        for _, band in _bands(image)
        if (finite := (values := np.asarray(band, dtype=float))[np.isfinite(values)]).size
    ]
    lowest = min((low for low, _ in band_extrema), default=0.0)
    highest = max((high for _, high in band_extrema), default=0.0)
    scale = 255.0 / ((highest - lowest) or 1.0)
    grey_image = Image.new("L", image.size)
    for top_row, band in _bands(image):
        values = np.asarray(band, dtype=float)
        stretched = (highest - values if is_inverse else values - lowest) * scale
        grey_values = np.where(np.isfinite(stretched), stretched, 0.0).clip(0.0, 255.0).astype(np.uint8)
        grey_image.paste(Image.fromarray(grey_values), (0, top_row))
    return grey_image


def _bands(image: Image) -> Iterator[tuple[int, Image]]:
    """The image in bands of `BLOCK` pixels, each with its first row."""
    band_height = max(1, BLOCK // image.width)
    for top_row in range(0, image.height, band_height):
        yield top_row, image.crop((0, top_row, image.width, min(image.height, top_row + band_height)))
