"""Images small enough for a workbook."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from kgplatform import radiograph
from kgplatform.errors import InputError

SIDE: Final = 300  # pixels at most


def thumbnail(path: str, root: Path) -> bytes | None:
    """The image below `root` as a small PNG; None where it is not there, not below it, too large, or no image."""
    place = radiograph.place(root, path)
    if place is None:
        return None
    try:
        image = radiograph.read(place, draft=SIDE)
        image.thumbnail((SIDE, SIDE))
    except (InputError, OSError):
        return None
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
