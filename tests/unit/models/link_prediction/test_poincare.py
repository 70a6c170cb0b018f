"""The Poincaré ball against its identities, and the rotations and reflections that keep to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("pykeen")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kgp_models.link_prediction import poincare
from kgp_models.link_prediction.atth import reflect, rotate

pytestmark = pytest.mark.usefixtures("single_thread")

Array = NDArray[np.float64]
Ball = tuple[float, list[Tensor]]  # a curvature and points


# The formulas in plain NumPy, for a row at a time.


def reference_exp0(v: Array, c: float) -> Array:
    norm = math.sqrt(sum(coordinate * coordinate for coordinate in v))
    return np.array([math.tanh(math.sqrt(c) * norm) * coordinate / (math.sqrt(c) * norm) for coordinate in v])


def reference_log0(y: Array, c: float) -> Array:
    norm = math.sqrt(sum(coordinate * coordinate for coordinate in y))
    return np.array([math.atanh(math.sqrt(c) * norm) * coordinate / (math.sqrt(c) * norm) for coordinate in y])


def mobius(x: Array, y: Array, c: float) -> Array:
    xy, x2, y2 = float(x @ y), float(x @ x), float(y @ y)
    return ((1 + 2 * c * xy + c * y2) * x + (1 - c * x2) * y) / (1 + 2 * c * xy + c * c * x2 * y2)


def distance(x: Array, y: Array, c: float) -> float:
    return 2 / math.sqrt(c) * math.atanh(math.sqrt(c) * float(np.linalg.norm(mobius(-x, y, c))))


# The module against them

CURVATURES = st.sampled_from([0.05, 0.5, 1.0, 2.5])
examples = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def balls(draw: st.DrawFn, count: int, radius: float = 0.95) -> Ball:
    """A curvature and that many points in its ball, of any length from 0 to `radius` of the ball's."""
    curvature = draw(CURVATURES)
    points = []
    for _ in range(count):
        direction = torch.tensor(draw(st.lists(st.floats(-1, 1), min_size=4, max_size=4)), dtype=torch.float64)
        length = draw(st.one_of(st.just(0.0), st.floats(1e-6, radius))) / math.sqrt(curvature)
        points.append(direction / direction.norm().clamp_min(1e-3) * length)
    return curvature, points


def close(x: Tensor, y: Tensor, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def d(x: Tensor, y: Tensor, c: float) -> Tensor:
    return poincare.squared_distance(x, y, c).sqrt()


@examples
@given(balls(2))
def test_mobius_addition_has_a_zero_inverses_and_left_cancellation(sample: Ball) -> None:
    curvature, [x, y] = sample
    origin = torch.zeros_like(x)
    close(poincare.mobius_add(origin, x, curvature), x)
    close(poincare.mobius_add(x, origin, curvature), x)
    close(poincare.mobius_add(-x, x, curvature), origin)
    close(poincare.mobius_add(-x, poincare.mobius_add(x, y, curvature), curvature), y, 1e-6)
    np.testing.assert_allclose(
        poincare.mobius_add(x, y, curvature), mobius(x.numpy(), y.numpy(), curvature), rtol=1e-8, atol=1e-8
    )


@examples
@given(balls(1, radius=3.0), st.floats(1e-5, 10))
def test_log0_inverts_exp0(sample: Ball, c: float) -> None:
    _, [tangent] = sample
    tangent = tangent / max(
        1.0, math.sqrt(c) * float(tangent.norm()) / 4
    )  # beyond 6.1 / √c the ball's margin takes over
    close(poincare.log0(poincare.exp0(tangent, c), c), tangent)


@examples
@given(balls(3))
def test_distance_is_a_metric(sample: Ball) -> None:
    curvature, [x, y, z] = sample
    close(d(x, y, curvature), d(y, x, curvature))
    assert d(x, x, curvature) == 0
    assert d(x, z, curvature) <= d(x, y, curvature) + d(y, z, curvature) + 1e-9
    close(d(torch.zeros_like(x), x, curvature), 2 * torch.atanh(math.sqrt(curvature) * x.norm()) / math.sqrt(curvature))
    if not torch.equal(x, y):
        assert math.isclose(
            float(d(x, y, curvature)), distance(x.numpy(), y.numpy(), curvature), rel_tol=1e-6, abs_tol=1e-7
        )


@examples
@given(balls(3))
def test_left_translation_is_an_isometry(sample: Ball) -> None:
    curvature, [x, y, z] = sample
    close(
        d(poincare.mobius_add(z, x, curvature), poincare.mobius_add(z, y, curvature), curvature),
        d(x, y, curvature),
        1e-5,
    )


@examples
@given(balls(5))
def test_distances_of_all_pairs_are_those_of_rows(sample: Ball) -> None:
    curvature, points = sample
    x, y = torch.stack(points[:2]), torch.stack(points[2:])
    close(poincare.squared_distances(x, y, curvature), poincare.squared_distance(x[:, None], y, curvature), 1e-6)
    row_curvatures = torch.tensor([[curvature], [curvature / 2]], dtype=torch.float64)
    expected = poincare.squared_distance(x[:, None], y, row_curvatures[:, None])
    close(poincare.squared_distances(x, y, row_curvatures), expected, 1e-6)


@examples
@given(balls(1), st.lists(st.floats(-7, 7), min_size=2, max_size=2))
def test_rotations_and_reflections_keep_norms(sample: Ball, angles: list[float]) -> None:
    _, [point] = sample
    angle = torch.tensor(angles, dtype=torch.float64)
    close(rotate(point, angle).norm(), point.norm())
    close(reflect(point, angle).norm(), point.norm())
    close(rotate(rotate(point, angle), -angle), point)
    close(reflect(reflect(point, angle), angle), point)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_tangent_vectors_stop_at_the_margin(dtype: torch.dtype) -> None:
    tangents = torch.tensor([[1e3, 0.0], [0.0, 1e15], [1e-30, 0.0], [0.0, 0.0]], dtype=dtype, requires_grad=True)
    for curvature in (1e-6, 1.0, 1e3):
        points = poincare.exp0(tangents, curvature)
        assert (curvature * points.square().sum(1)).max() <= poincare.limit(dtype) ** 2 * (1 + 1e-6)
        total = (
            poincare.squared_distance(poincare.mobius_add(points, points, curvature), points.flip(0), curvature).sum()
            + poincare.log0(points, curvature).sum()
        )
        (gradient,) = torch.autograd.grad(total, tangents)
        assert total.isfinite()
        assert gradient.isfinite().all()


def test_a_point_beyond_the_margin_is_brought_back() -> None:
    points = torch.tensor([[3.0, 4.0], [0.1, 0.0]], dtype=torch.float64)
    close(
        poincare.project(points, 1.0),
        torch.tensor([[0.6 * (1 - 1e-5), 0.8 * (1 - 1e-5)], [0.1, 0.0]], dtype=points.dtype),
    )


def test_the_ball_of_curvature_zero_is_flat() -> None:
    x, y = torch.tensor([[0.3, -2.0], [1.0, 1.0]], dtype=torch.float64)
    curvature = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    distances = poincare.squared_distance(poincare.exp0(x, curvature), poincare.mobius_add(y, x, curvature), curvature)
    close(distances.detach(), 4 * y.square().sum())
    (gradient,) = torch.autograd.grad(distances, curvature)
    assert gradient.isfinite().all()


def test_gradients_are_those_of_finite_differences() -> None:
    random_state = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, 4, generator=random_state, dtype=torch.float64).requires_grad_() for _ in range(2))
    c = torch.tensor([[0.3], [1.0], [2.0]], dtype=torch.float64, requires_grad=True)

    def geometry(x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        a, b = poincare.exp0(x, c), poincare.exp0(y, c)
        return poincare.squared_distance(poincare.mobius_add(a, b, c), b, c), poincare.log0(a, c)

    assert torch.autograd.gradcheck(geometry, (x, y, c))


def test_half_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="float32 or float64"):
        poincare.exp0(torch.ones(2, dtype=torch.float16), 1.0)
