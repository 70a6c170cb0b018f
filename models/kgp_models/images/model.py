"""An image tower with a layer that tells which links an image has, and how sure it is of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn

from kgp_models.images.calibrate import Calibration
from kgp_models.images.combine import Combination
from kgp_models.images.examples import Link
from kgp_models.towers.backbone import Picture
from kgp_models.training.reference_vectors import ReferenceVectors
from kgplatform.progress import Progress, no_progress
from kgplatform.trained_on import TrainedOn

BLOCK: Final = 64  # images in a batch without training


class LinkClassifier(nn.Module):
    """A tower and a linear layer: pixels (B, channels, size, size) to logits (B, links)."""

    def __init__(self, tower: nn.Module, width: int, links: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.tower = tower
        self.dropout = nn.Dropout(dropout)
        self.layer = nn.Linear(width, links)

    def forward(self, pixels: Tensor) -> Tensor:
        """The logits."""
        return self.tell(self.vectors(pixels))

    def vectors(self, pixels: Tensor) -> Tensor:
        """The vectors of images, (B, width), with dropout in training."""
        vectors: Tensor = self.dropout(self.tower(pixels).float())
        return vectors

    def tell(self, vectors: Tensor) -> Tensor:
        """The logits of vectors."""
        logits: Tensor = self.layer(vectors)
        return logits


@dataclass(frozen=True, eq=False)
class ImageModel:
    """A trained encoder: its classifier in evaluation, what pictures it takes, and the links that it tells."""

    classifier: LinkClassifier
    picture: Picture
    links: Sequence[Link]
    calibration: Calibration
    backbone: str  # whose tower it is
    shares: Tensor  # of the training images that have each link, (links,)
    projection: Tensor  # of the tower's vectors to those of embeddings, (512, width)
    combination: Combination | None = None
    reference: ReferenceVectors | None = None
    trained_on: TrainedOn = ()
    sha256: str = field(default="")

    @property
    def name(self) -> str:
        """What results are marked with."""
        return f"images {self.sha256[:8]}"


def training_precision(device: torch.device) -> torch.autocast:
    """A context of bfloat16 on a GPU alone: on a CPU, convolutions of one channel each (EfficientNet) are slower in it
    than in float32, with AMX, too (4.9 against 3.9 s for a step of 32 images on one core).
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu")


@torch.no_grad()  # what it gives is fitted to
def image_outputs(
    classifier: LinkClassifier, picture: Picture, grey: Tensor, progress: Progress = no_progress
) -> tuple[Tensor, Tensor]:
    """Vectors (n, width) and logits (n, links) of grey pictures in bytes, (n, 1, size, size), in evaluation."""
    was_training = classifier.training
    device = next(classifier.parameters()).device
    classifier.eval()
    vectors, logits = [], []
    for block in torch.split(grey, BLOCK):
        pixels = picture.scaled(block.to(device)).contiguous(memory_format=torch.channels_last)
        with training_precision(device):
            block_vectors = classifier.tower(pixels).float()
        vectors.append(block_vectors.cpu())
        logits.append(classifier.layer(block_vectors).cpu())
        progress(sum(map(len, vectors)), len(grey))
    classifier.train(was_training)
    return torch.cat(vectors), torch.cat(logits)
