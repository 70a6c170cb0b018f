"""How unlike an image is to all that a model was trained on: the distance to the k-th nearest training image.

Source: Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors" (ICML). Vectors of the model's own
image tower are brought to length 1; the measure is one minus the cosine to the k-th nearest of a sample of the training
images. The threshold is the 99th percentile of this measure over images that the training did not use (over the sample
itself, each without itself, where there are none): 1 of 100 images like those of the training is flagged, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from kgp_models.training.model_files import check_files, regular_file_sha256, save_tensors
from kgplatform.errors import InputError

FILE: Final = "reference.safetensors"
SAMPLE: Final = 512  # training images that are kept
NEAREST: Final = 5  # k
QUANTILE: Final = 0.99
_AGAIN: Final = "Train or fetch it again."


@dataclass(frozen=True, eq=False)
class ReferenceVectors:
    """Vectors of training images, (n, width), of length 1, and the distance above which an image is unlike them."""

    vectors: Tensor
    threshold: float
    nearest: int = NEAREST

    @classmethod
    def from_training(cls, training: Tensor, held_out: Tensor | None = None, seed: int = 0) -> ReferenceVectors:
        """Of vectors (n, width) of the training's images, and of images that it did not use."""
        rng = torch.Generator().manual_seed(seed)
        rows = torch.randperm(len(training), generator=rng)[:SAMPLE]
        sample = functional.normalize(training[rows].float(), dim=-1).half().float()  # as they are stored
        nearest = min(NEAREST, max(1, len(sample) - 1))
        if held_out is not None and len(held_out):
            distances = cls(sample, 0.0, nearest).distances(held_out)
        else:
            cosines = sample @ sample.T
            cosines.fill_diagonal_(-1.0)
            distances = 1.0 - cosines.topk(nearest, dim=1).values[:, -1]
        return cls(sample, float(torch.quantile(distances, QUANTILE)), nearest)

    def distances(self, vectors: Tensor) -> Tensor:
        """The measure for vectors (n, width): from 0, for an image of the training, to 2; (n,)."""
        cosines = functional.normalize(vectors.float(), dim=-1) @ self.vectors.T
        return 1.0 - cosines.topk(self.nearest, dim=1).values[:, -1]

    def projected(self, projection: Tensor) -> ReferenceVectors:
        """In the space of a projection (m, width) whose rows are orthonormal: distances, and so the threshold, stay."""
        return ReferenceVectors(functional.normalize(self.vectors @ projection.T, dim=-1), self.threshold, self.nearest)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the vectors into a model's folder; returns the entry of its description."""
        save_tensors({"vectors": self.vectors.half().contiguous()}, folder / FILE)
        return {
            "measure": "1 - cosine to the k-th nearest training image",
            "k": self.nearest,
            "threshold": round(self.threshold, 6),
            "images": len(self.vectors),
            "sha256": regular_file_sha256(folder / FILE),
        }

    @classmethod
    def load(cls, folder: Path, description: Mapping[str, Any]) -> ReferenceVectors | None:
        """Those of a model's folder; None where its description has none. Raises `InputError` for a changed file."""
        entry = description.get("reference")
        if not isinstance(entry, dict):
            return None
        path = folder / FILE
        try:
            check_files(folder, {FILE: entry["sha256"]})
            return cls(load_file(path)["vectors"].float(), float(entry["threshold"]), int(entry["k"]))
        except (OSError, KeyError, TypeError, ValueError, SafetensorError):
            raise InputError("a file of the model is missing or changed", _AGAIN, path=path) from None
