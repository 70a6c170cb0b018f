"""Embeddings of an image encoder stay as similar as its tower's vectors."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
import torch
from torch.nn.functional import normalize

from kgp_models.images.projection import fit_projection, projecting_head


def test_rows_are_orthonormal_and_keep_what_lies_in_their_space() -> None:
    rng = torch.Generator().manual_seed(1)
    vectors = torch.randn(90, 6, generator=rng) @ torch.randn(6, 40, generator=rng)  # of 6 dimensions
    projection = fit_projection(vectors, 8)
    assert projection.shape == (8, 40)
    assert torch.allclose(projection @ projection.T, torch.eye(8), atol=1e-5)
    projected = projecting_head(projection)(vectors).detach()
    assert torch.allclose(projected @ projected.T, vectors @ vectors.T, rtol=1e-3, atol=1e-2)
    cosines = normalize(vectors, dim=-1) @ normalize(vectors, dim=-1).T
    assert torch.allclose(normalize(projected, dim=-1) @ normalize(projected, dim=-1).T, cosines, atol=1e-4)


def test_of_fewer_dimensions_the_further_rows_are_zero() -> None:
    vectors = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))
    projection = fit_projection(vectors, 5)
    assert projection.shape == (5, 3)
    assert not projection[3:].any()
    assert torch.allclose(projection[:3].T @ projection[:3], torch.eye(3), atol=1e-5)
