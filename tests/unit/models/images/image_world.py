"""Small pictures whose links are drawn: a bright square at the left is one finding, at the right another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from kgp_models.images.examples import ImageExamples, LabelledImage, Link
from kgp_models.images.settings import ImageSettings
from kgp_models.towers.backbone import Backbone
from tests.unit.models.retrieval import retrieval_world

LEFT = Link("POSITIVE", "C9900001", "left square")
RIGHT = Link("POSITIVE", "C9900002", "right square")
NOT_LEFT = Link("NEGATIVE", "C9900001", "left square")
SIDE = 32
SETTINGS = ImageSettings(
    backbone="small", least=4, epochs=30, batch=8, learning_rate=1e-2, dropout=0.0, average=0.8, variation=0.2
)


def write_images(folder: Path, count: int, seed: int, prefix: str = "") -> ImageExamples:
    """Pictures with noise; every third one has the left square, every second one the right one."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    images = []
    for number in range(count):
        pixels = rng.integers(0, 60, (SIDE, SIDE), dtype=np.uint8)
        links = {NOT_LEFT}
        if number % 3 == 0:
            pixels[8:24, 2:14] += 150
            links = {LEFT}
        if number % 2 == 0:
            pixels[8:24, 18:30] += 150
            links.add(RIGHT)
        path = folder / f"{prefix}{number}.png"
        Image.fromarray(pixels).save(path)
        patient = f"p{number // 2}"
        images.append(
            LabelledImage(f"I{prefix}{number}", path, patient, frozenset(links), dataset="Phantom", patient=patient)
        )
    return ImageExamples(images)


def tiny_backbone() -> Backbone:
    """A backbone with an image tower for pictures of 32 pixels."""
    return retrieval_world.tiny_retrieval_backbone()
