"""From an image tower's vectors to the 512 dimensions of embeddings, so that images stay as similar as they are.

The rows of the projection are orthonormal: the eigenvectors of the largest eigenvalues of the training vectors' second
moments (principal components without centring), so that lengths and cosines are kept as well as 512 dimensions can.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kgp_models.towers.backbone import WIDTH


def fit_projection(vectors: Tensor, width: int = WIDTH) -> Tensor:
    """The projection (width, D) of vectors (n, D); rows of zeros where D is smaller than `width`."""
    moments = vectors.double().T @ vectors.double()
    _, eigenvectors = torch.linalg.eigh(moments)  # by rising eigenvalue
    rows = eigenvectors.flip(1)[:, :width].T
    projection = torch.zeros(width, vectors.shape[1], dtype=torch.float32)
    projection[: len(rows)] = rows.float()
    return projection


def projecting_head(projection: Tensor) -> nn.Linear:
    """A head of a backbone that projects."""
    head = nn.Linear(projection.shape[1], projection.shape[0])
    with torch.no_grad():
        head.weight.copy_(projection)
        head.bias.zero_()
    return head
