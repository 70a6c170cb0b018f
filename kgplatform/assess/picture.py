"""Images small enough for a workbook."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Final

from kgplatform import radiograph
from kgplatform.errors import InputError

SIDE: Final = 300  # pixels at most
NO_PATH: Final = "without a path in the graph"
NO_FILE: Final = "whose file is not in the folder"
UNREADABLE: Final = "whose file cannot be read as an image"


class Thumbnails:
    """Small images of a folder by their paths, each read once; `left_out` counts those that raters cannot see."""

    def __init__(self, root: Path) -> None:
        """Raises `InputError` where the folder is missing."""
        if not root.is_dir():
            raise InputError(
                "there is no such folder", "Give the folder that the image paths are relative to.", path=root
            )
        self._root = root
        self._read: dict[str, bytes | None] = {}
        self.left_out: Counter[str] = Counter()

    def __call__(self, path: str) -> bytes | None:
        """The image as PNG, or None."""
        if path not in self._read:
            small_image = self._read[path] = thumbnail(path, self._root) if path else None
            if small_image is None:
                image_path = radiograph.find_image(self._root, path) if path else None
                file_exists = image_path is not None and image_path.is_file()
                self.left_out[UNREADABLE if file_exists else NO_FILE if path else NO_PATH] += 1
        return self._read[path]


def thumbnail(path: str, root: Path) -> bytes | None:
    """The image below `root` as a small PNG; None where it is missing, not below it, too large, or no image."""
    image_path = radiograph.find_image(root, path)
    if image_path is None:
        return None
    try:
        image = radiograph.read_radiograph(image_path, draft=SIDE)
        image.thumbnail((SIDE, SIDE))
    except (InputError, OSError):
        return None
    png_buffer = io.BytesIO()
    image.save(png_buffer, "PNG")
    return png_buffer.getvalue()
