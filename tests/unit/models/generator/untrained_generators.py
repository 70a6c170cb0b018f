"""A generator that is not trained, its images and reports; and a training of which stage 1 is done."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kgp_models.generator.checkpoint import GeneratorCheckpoint, load_generator
from kgp_models.generator.generate import Generator
from kgplatform.generate.backend import GenerationRequest, GeneratorReply

REPORTS = [
    "Small left effusion .",
    "",
    "No edema of the lungs . " * 4,
    "Nodule .",
    "A tube terminates in the stomach .",
]


@pytest.fixture(scope="module")
def untrained(tiny_generator_folder: Path) -> GeneratorCheckpoint:
    """A generator whose language model replies differently from image to image: its weights are large and random."""
    checkpoint = replace(load_generator(tiny_generator_folder / "vlm-kg"), classifier=None)
    random_generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in checkpoint.model.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=random_generator) * 0.3)
        assert checkpoint.model.projector is not None
        checkpoint.model.projector.spread.weight *= 30
    return checkpoint


@pytest.fixture
def begun(tiny_generator_folder: Path, tmp_path: Path) -> Path:
    """A folder in which vision encoder and stage 1 are trained, for other settings of stage 2."""
    for part in ("vision", "llm-kg"):
        shutil.copytree(tiny_generator_folder / part, tmp_path / part)
    return tmp_path


@pytest.fixture(scope="module")
def synthetic_image_paths(synthetic_studies_folder: Path) -> list[Path]:
    return sorted(synthetic_studies_folder.rglob("*.png"))


def generation_requests(pictures: list[Path], count: int = 5) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            f"I{image_number}", pictures[image_number % len(pictures)], REPORTS[image_number % len(REPORTS)]
        )
        for image_number in range(count)
    ]


def replies(generator: Generator, rows: list[GenerationRequest]) -> dict[str, GeneratorReply]:
    replies_by_id = {reply.request.id: reply for batch in generator.replies(iter(rows)) for reply in batch}
    assert list(replies_by_id) or not rows
    return replies_by_id
