"""Trained models on disk: safetensors with the id maps that say what each row means.

A folder: ``checkpoint.json`` (settings, hashes of graph and split, results), ``model.safetensors`` (the best weights)
and the id maps as `Triples` without triples. While training goes on, ``training.safetensors`` holds what it takes to
go on: the best and the last weights, the optimizer's state and the random state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from kgp_models.link_prediction import zoo
from kgp_models.link_prediction.scoring import Scorer
from kgp_models.link_prediction.settings import TrainingSettings
from kgplatform import files
from kgplatform.errors import InputError
from kgplatform.export.triples import Triples
from kgplatform.files import atomic_file, require_file

ABOUT: Final = "checkpoint.json"
WEIGHTS: Final = "model.safetensors"
TRAINING: Final = "training.safetensors"
PROGRESS: Final = "progress"  # the key of its metadata
_AGAIN: Final = "Train the model again."


@dataclass(frozen=True)
class LinkCheckpoint:
    """A trained model with its id maps: `graph` has the entities and relations, and no triples."""

    settings: TrainingSettings
    model: zoo.Model
    scorer: Scorer
    graph: Triples
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What predictions name as their model."""
        return self.settings.model

    @property
    def sha256(self) -> str:
        """The hash of the weights."""
        return str(self.about["weights"])


def save_link_checkpoint(
    folder: Path, settings: TrainingSettings, model: zoo.Model, graph: Triples, about: Mapping[str, Any]
) -> None:
    """Write a finished model; what was there before stays until the new one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    id_maps = graph.without_triples()
    id_maps.write(folder)
    _save_tensors(folder / WEIGHTS, copy_weights(model))
    weights_hash = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    document = {**about, "settings": settings.as_dict(), "weights": weights_hash, "names": id_maps.sha256}
    save_json(folder / ABOUT, document)


def load_link_checkpoint(folder: Path) -> LinkCheckpoint:
    """Read what `save_link_checkpoint` wrote.

    Raises `InputError` for a damaged checkpoint, or id maps that are not its own.
    """
    about = read_document(folder / ABOUT)
    graph = Triples.read(folder)
    if not isinstance(about.get("settings"), dict) or "weights" not in about or "names" not in about:
        raise InputError("is not a checkpoint of this program", _AGAIN, path=folder / ABOUT)
    if about["names"] != graph.sha256:
        raise InputError("its id maps are those of another model", _AGAIN, path=folder)
    weights = _read_tensors(folder / WEIGHTS)
    if hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() != about["weights"]:
        raise InputError("does not match its hash", _AGAIN, path=folder / WEIGHTS)
    settings = TrainingSettings.of(about["settings"])
    model, scorer = zoo.build_link_model(settings, graph.num_entities, graph.num_relations, seed=0)
    _restore(model, weights, folder / WEIGHTS)
    model.eval()
    return LinkCheckpoint(settings, model, scorer, graph, about)


def save_progress(
    folder: Path,
    model: zoo.Model,
    best: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    about: Mapping[str, Any],
    began: Tensor,
) -> None:
    """Write what it takes to go on from here, in one file that replaces the last one at once. `began` is the random
    state as the epoch began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved_tensors = {f"last.{weight_name}": tensor for weight_name, tensor in copy_weights(model).items()}
    saved_tensors |= {f"best.{weight_name}": tensor for weight_name, tensor in best.items()}
    for parameter_number, parameter_slots in optimizer.state_dict()["state"].items():
        saved_tensors |= {
            f"optimizer.{parameter_number}.{slot}": torch.as_tensor(tensor) for slot, tensor in parameter_slots.items()
        }
    saved_tensors |= {"random": torch.get_rng_state(), "began": began}
    _save_tensors(folder / TRAINING, saved_tensors, {PROGRESS: json.dumps(about)})


def load_progress(
    folder: Path, model: zoo.Model, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any], Tensor]:
    """Put model, optimizer and random state back; returns the best weights so far, and what `save_progress` was told of
    the training and of the random state as the epoch began.
    """
    training_path = folder / TRAINING
    saved_tensors = _read_tensors(training_path)
    about = _metadata(training_path)
    _restore(model, _under(saved_tensors, "last."), training_path)
    parameter_slots: dict[int, dict[str, Tensor]] = {}
    for tensor_name, tensor in _under(saved_tensors, "optimizer.").items():
        parameter_number, slot = tensor_name.split(".", 1)
        parameter_slots.setdefault(int(parameter_number), {})[slot] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": parameter_slots})
    torch.set_rng_state(saved_tensors["random"])
    return _under(saved_tensors, "best."), about, saved_tensors.get("began", saved_tensors["random"])


def exists(folder: Path) -> bool:
    """Whether a finished model is here."""
    return (folder / ABOUT).exists()


def has_progress(folder: Path) -> bool:
    """Whether a training was left unfinished here."""
    return (folder / TRAINING).exists()


def clear_progress(folder: Path) -> None:
    """Remove what a finished training no longer needs."""
    (folder / TRAINING).unlink(missing_ok=True)


def copy_weights(model: zoo.Model) -> dict[str, Tensor]:
    """The weights at present, on the CPU, each in separate memory (a model may hold one under two names)."""
    return {
        weight_name: weight.detach().cpu().clone().contiguous() for weight_name, weight in model.state_dict().items()
    }


def _restore(model: zoo.Model, weights: Mapping[str, Tensor], weights_path: Path) -> None:
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError:
        raise InputError("holds the weights of another model", _AGAIN, path=weights_path) from None


def _under(saved_tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        tensor_name.removeprefix(prefix): tensor
        for tensor_name, tensor in saved_tensors.items()
        if tensor_name.startswith(prefix)
    }


def _save_tensors(target_path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    with atomic_file(target_path) as partial_path:
        save_file(dict(tensors), partial_path, metadata)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(require_file(path))
    except (OSError, SafetensorError, ValueError):
        raise InputError("is missing or damaged", _AGAIN, path=path) from None


def _metadata(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as tensor_file:
            about = json.loads((tensor_file.metadata() or {})[PROGRESS])
    except (OSError, SafetensorError, ValueError, KeyError):
        raise InputError("is damaged", "Delete it to train from the start.", path=path) from None
    return dict(about)


def save_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document, at once or not at all."""
    with atomic_file(path) as partial_path:
        partial_path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_document(path: Path) -> dict[str, Any]:
    """Read a document; raises `InputError`."""
    try:
        document = files.read_json(path)
    except InputError:
        raise InputError("is missing or damaged", "Name the folder of a trained model.", path=path) from None
    if not isinstance(document, dict):
        raise InputError("is not a checkpoint of this program", _AGAIN, path=path)
    return document
