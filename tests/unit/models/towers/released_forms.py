"""Backbones saved in the forms in which they are released, without a network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from tests.unit.models.towers.backbone_folders import (  # noqa: E402
    biomedclip,
    plain_open_clip,
    save_clip,
)

TEXTS = ["pleural effusion", "no acute cardiopulmonary process; heart size is normal", "X"]
ENDLESS = "effusion " * 300


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Anything that looks up a name or connects fails, and fails the test even where the library keeps it quiet."""
    attempts: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        attempts.append(arguments[-1])
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert not attempts


MAKERS = {"clip": save_clip, "open-clip": plain_open_clip, "biomedclip": biomedclip}


@pytest.fixture(scope="module")
def saved_backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path, Any]]:
    """Of each form: the kind, the folder, and the model that was saved there. Tests must leave them unchanged."""
    base_folder = tmp_path_factory.mktemp("backbones")
    kinds = {"clip": "clip", "open-clip": "open-clip", "biomedclip": "open-clip"}
    return {
        form_name: (kind, base_folder / form_name, MAKERS[form_name](base_folder / form_name))
        for form_name, kind in kinds.items()
    }


@pytest.fixture(params=list(MAKERS))
def form(request: pytest.FixtureRequest, saved_backbones: dict[str, tuple[str, Path, Any]]) -> tuple[str, Path, Any]:
    return saved_backbones[request.param]


def write_noise_image(path: Path, size: int, seed: int = 1) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


LACKS = ["weights", "damaged weights", "tokenizer", "damaged tokenizer", "configuration"]
