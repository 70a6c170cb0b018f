"""Files of a trained model: written whole, and checked against known hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from kgplatform.errors import InputError


def save_whole(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a file of tensors that is not there before it is whole, so that what is there may be taken as finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f"{path.name}.part")
    save_file(dict(tensors), staged)
    staged.replace(path)


def sha256_of(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def relative(base: str, folder: Path) -> str:
    """``KIND:FOLDER`` with its folder as seen from the model's, so that both may move together."""
    kind, colon, place = base.partition(":")
    return f"{kind}:{os.path.relpath(place, folder)}" if colon else kind


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise `InputError` where a file of the model, by its name below the folder, is not there with its hash."""
    for name, known in files.items():
        place = folder / name
        if not place.resolve().is_relative_to(folder.resolve()) or not place.is_file() or sha256_of(place) != known:
            raise InputError("a file of the model is missing or changed", "Train or fetch it again.", path=place)
