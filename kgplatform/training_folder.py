"""The folder of a training: one trainer's alone, from the first step to the finished model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Final

from kgplatform.errors import InputError, UsageError
from kgplatform.files import read_json, replacing

MARK: Final = "trained-by.json"
TRAINERS: Final[Mapping[str, tuple[str, ...]]] = {
    "kgp train links": ("training.safetensors", "checkpoint.json"),
    "kgp train generator": ("training.json",),
    "kgp train retrieval": ("work/training.json", "retrieval.json"),
    "kgp train images": ("work/links", "images.json"),
    "kgp train vqa": ("work/base", "work/method", "work/features", "vqa.json"),
}
"""What tells of a trainer in a folder without the mark, which earlier versions made."""
MODELS: Final[Mapping[str, str]] = {
    "checkpoint.json": "kgp train links",
    "generator.json": "kgp train generator",
    "images.json": "kgp train images",
    "retrieval.json": "kgp train retrieval",
    "vqa.json": "kgp train vqa",
}
"""A finished model's description, and its trainer."""


def take(folder: Path, trainer: str) -> None:
    """Mark the folder as this trainer's. Raises `UsageError` as `check_training_folder` does."""
    check_training_folder(folder, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / MARK) as staged_path:
        staged_path.write_text(json.dumps({"by": trainer}) + "\n", encoding="utf-8")


def check_training_folder(folder: Path, trainer: str, model: str = "", use: str = "") -> None:
    """See that the folder may be this trainer's. `model` is the description of a finished one, which is not trained
    again but used: by `use`.

    Raises `UsageError` where the folder holds such a model, a training of another trainer, or anything else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "Give another one with --out.")
    if model and (folder / model).is_file():
        raise UsageError(f"{folder} holds a trained model", f"Use it ({use}), or give another folder.")
    file_names = (
        sorted(file_path.name for file_path in folder.iterdir() if file_path.name != MARK) if folder.is_dir() else []
    )
    owner = _owner(folder)
    if file_names and owner is None:
        hint = "Give a new or an empty folder for the model with --out."
        raise UsageError(f"{folder} holds other files ({file_names[0]}), and no training", hint)
    if file_names and owner != trainer:
        folder_state = (
            "a model" if any((folder / model_file).is_file() for model_file in MODELS) else "an unfinished training"
        )
        hint = f"Give another folder with --out. Delete this one only if nobody needs what `{owner}` left."
        raise UsageError(f"{folder} holds {folder_state} of `{owner}`", hint)


def _owner(folder: Path) -> str | None:
    """The trainer whose folder this is."""
    try:
        owner = read_json(folder / MARK)["by"]
        return owner if owner in TRAINERS else None
    except (InputError, TypeError, KeyError):
        pass
    by_model = (trainer for model_file, trainer in MODELS.items() if (folder / model_file).is_file())
    by_marker = (
        trainer for trainer, markers in TRAINERS.items() if any((folder / marker).exists() for marker in markers)
    )
    return next(chain(by_model, by_marker), None)
