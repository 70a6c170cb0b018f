"""Where the images of a graph lie on disk."""

from __future__ import annotations

from pathlib import Path


def place(root: Path, path: str) -> Path | None:
    """The place of an image's path below a folder; None for a path that leads out of it, or that can be none."""
    try:
        found = root / path
        return found if path and found.resolve().is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a loop of links (RuntimeError before Python 3.13), a NUL
        return None
