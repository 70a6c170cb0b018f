"""Images small enough for a workbook, from files that may be damaged or hostile."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE: Final = 300  # pixels at most
MAX_PIXELS: Final = 50_000_000  # a chest radiograph has some 9 million
MAX_BYTES: Final = 200_000_000


def thumbnail(path: str, root: Path) -> bytes | None:
    """The image below `root` as a small PNG; None where it is not there, not below it, too large, or no image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values of the file
            return _thumbnail(path, root)
    except Exception:  # noqa: BLE001  pydicom and Pillow raise classes without number on damaged files
        return None


def _thumbnail(path: str, root: Path) -> bytes | None:
    place = (root / path).resolve()
    if not path or not place.is_relative_to(root.resolve()) or place.stat().st_size > MAX_BYTES:
        return None
    image = _dicom(place) if place.suffix.lower() == ".dcm" else _plain(place)
    if image is None:
        return None
    image.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _plain(path: Path) -> Image | None:
    from PIL import Image

    with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as image:
        if image.width * image.height > MAX_PIXELS:
            return None
        image.draft("L", (SIDE, SIDE))
        return _grey(image)


def _grey(image: Image) -> Image:
    """8 bits a pixel; images of more are stretched over their range."""
    if image.mode in ("I", "I;16", "I;16B", "F"):
        low, high = image.convert("F").getextrema()
        scale = 255.0 / ((float(high) - float(low)) or 1.0)  # type: ignore[arg-type]
        return image.convert("F").point(lambda value: value * scale - float(low) * scale).convert("L")  # type: ignore[arg-type]
    return image.convert("L")


def _dicom(path: Path) -> Image | None:
    import numpy as np
    from PIL import Image
    from pydicom import dcmread

    data = dcmread(path)
    if int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames", 1) or 1) > MAX_PIXELS:
        return None
    pixels = np.asarray(data.pixel_array, dtype=float)
    if pixels.ndim != 2:
        return None
    pixels = (pixels - pixels.min()) / ((pixels.max() - pixels.min()) or 1.0) * 255
    if data.PhotometricInterpretation == "MONOCHROME1":
        pixels = 255 - pixels
    return Image.fromarray(pixels.astype(np.uint8))
