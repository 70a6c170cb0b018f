"""An encoder for tests: an image's vector is of its tiles' grey means, a text's of its words. Deterministic, and quick.

As a program it is `kgp` with this encoder: ``fake`` and ``other`` see, ``words`` embeds texts only, ``narrow`` gives
shorter vectors, and ``dying:N`` is ``fake`` that is killed with the N-th batch.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgplatform import radiograph
from kgplatform.errors import InputError, UsageError
from kgplatform.search.encoder import Reading
from kgplatform.trained_on import UNKNOWN, TrainedOn

TILES = 8
LONGEST = 60  # words of a text at a time


class FakeEncoder:
    """`kgplatform.search.encoder.Encoder`."""

    def __init__(self, name: str = "fake", width: int = 32, sees: bool = True, dies: int | None = None) -> None:
        self.name = f"{name}-1"
        self.sha256 = hashlib.sha256(name.encode()).hexdigest()
        self.width = width
        self.sees = sees
        self.trained_on: TrainedOn = UNKNOWN
        self.requests: list[Any] = []
        self._left = dies
        seed = int(self.sha256[:8], 16)
        self._projection = np.random.default_rng(seed).normal(size=(TILES * TILES, width))

    def images(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        if not self.sees:
            raise UsageError("no image encoder")
        self._count()
        tile_vectors = []
        for image_path in paths:
            if image_path.name == "cursed.png":
                raise InputError("is not a readable radiograph", path=image_path)
            grey_means = (
                np.asarray(radiograph.read_radiograph(image_path).resize((TILES, TILES)), dtype=float) / 255 - 0.5
            )
            tile_vectors.append(grey_means.ravel())
        self.requests += paths
        return _unit(np.array(tile_vectors) @ self._projection)

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self._count()
        self.requests += texts
        return _unit(np.array([self._words(text) for text in texts]))

    def reading(self, text: str) -> Reading:
        words = text.split()
        text_parts = [
            " ".join(words[start_index : start_index + LONGEST]) for start_index in range(0, len(words), LONGEST)
        ]
        return Reading(len(words), LONGEST, tuple(text_parts or [text]))

    def _words(self, text: str) -> NDArray[np.float64]:
        word_digests = [hashlib.sha256(f"{self.name} {word}".encode()).digest() for word in text.lower().split()] or [
            b"none"
        ]
        word_vectors = [
            np.random.default_rng(int.from_bytes(word_digest[:8], "big")).normal(size=self.width)
            for word_digest in word_digests
        ]
        return np.asarray(np.sum(word_vectors, axis=0))

    def _count(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left = None if self._left is None else self._left - 1


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def open_fake_encoder(spec: str) -> FakeEncoder:
    """As `kgp_models.retrieval.encode` has it."""
    encoder_kind, _, batch_count = spec.partition(":")
    return {
        "fake": lambda: FakeEncoder(),
        "small": lambda: FakeEncoder(),
        "other": lambda: FakeEncoder("other"),
        "narrow": lambda: FakeEncoder("narrow", width=16),
        "words": lambda: FakeEncoder("words", sees=False),
        "dying": lambda: FakeEncoder(dies=int(batch_count)),
        "dyingnarrow": lambda: FakeEncoder("narrow", width=16, dies=int(batch_count)),
    }[encoder_kind]()


def run_kgp_with_fake_encoder() -> None:
    """Run `kgp` with this encoder."""
    encode_module: Any = ModuleType("kgp_models.retrieval.encode")
    encode_module.open_encoder = open_fake_encoder
    sys.modules["kgp_models.retrieval.encode"] = encode_module
    from kgplatform.cli import main as kgp

    kgp()


if __name__ == "__main__":
    run_kgp_with_fake_encoder()
