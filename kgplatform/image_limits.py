"""What reading an image may take, for files that may be damaged or hostile, and the error for those that are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final

from kgplatform.errors import InputError

MAX_PIXELS: Final = 50_000_000  # a chest radiograph has about 9 million
MAX_BYTES: Final = 200_000_000  # of a file
MEMORY: Final = 230_000_000  # bytes that reading an image may take ...
MEMORY_PER_BYTE: Final = 16  # ... and for each byte of its file: large images that are not bombs are large files
BLOCK: Final = 1 << 20  # pixels that are floating-point numbers at a time


def unreadable(image_path: Path) -> InputError:
    """The error for a file that is damaged, or no image."""
    return InputError(
        "is not a readable radiograph", "Give a complete PNG, JPEG, TIFF or DICOM file of one image.", path=image_path
    )


def several_images(image_path: Path, content: str) -> InputError:
    """The error for a file of several images; `content` says which: "a DICOM file with 3 frames"."""
    return InputError(f"is {content}, where one image is needed", "Save one of them as a file.", path=image_path)


def check_memory(image_path: Path, image_file: BinaryIO, pixel_count: int, needed_bytes: int) -> None:
    """Raise `InputError` where an image has too many pixels, or reading it takes more bytes than its file warrants."""
    if pixel_count > MAX_PIXELS or needed_bytes > MEMORY + MEMORY_PER_BYTE * os.fstat(image_file.fileno()).st_size:
        hint = "Make it smaller; a chest radiograph has about 9 million pixels."
        raise InputError(f"is too large an image: {pixel_count:,} pixels", hint, path=image_path)
