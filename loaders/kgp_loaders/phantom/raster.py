"""Drawing with numpy: smooth steps, splines, strokes, blurs and smooth noise on a square grid.

Coordinates are shares of the picture's side: x to the viewer's right, y down, both from 0 to 1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Likes: TypeAlias = npt.ArrayLike

_KNOT_STEPS: Final = 24  # points of a spline between two of its knots, where it is looked up


class Grid:
    """The centres of the pixels: `x` of shape (1, size), `y` of shape (size, 1)."""

    def __init__(self, size: int) -> None:
        self.size = size
        centres = (np.arange(size) + 0.5) / size
        self.x: Array = centres[None, :]
        self.y: Array = centres[:, None]
        self.line: Array = centres

    def zeros(self) -> Array:
        """An empty picture."""
        return np.zeros((self.size, self.size))


def smooth_step(distance: Array, width: float) -> Array:
    """From 0 to 1, smoothly, where `distance` goes through 0; `width` is that of the slope."""
    ramp = np.clip(distance / width + 0.5, 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def bulge(distance: Array, width: float) -> Array:
    """The depth of a round edge: 0 outside, rising as a quarter of an ellipse to 1 at `width`."""
    ramp = np.clip(distance / width, 0.0, 1.0)
    return np.sqrt(ramp * (2.0 - ramp))


def ball(grid: Grid, centre: tuple[float, float], radii: tuple[float, float]) -> Array:
    """The depth of an ellipsoid, 1 at its centre."""
    x, y = (grid.x - centre[0]) / radii[0], (grid.y - centre[1]) / radii[1]
    return np.sqrt(np.maximum(0.0, 1.0 - x * x - y * y))


def cloud(grid: Grid, centre: tuple[float, float], radii: tuple[float, float]) -> Array:
    """A Gaussian, 1 at its centre."""
    x, y = (grid.line - centre[0]) / radii[0], (grid.line - centre[1]) / radii[1]
    return np.exp(-y * y)[:, None] * np.exp(-x * x)[None, :]


def spline(knots: Likes, count: int) -> Array:
    """`count` points of the Catmull-Rom spline through the knots; of shape (count, dimensions)."""
    knot_points = np.asarray(knots, dtype=float)
    padded_points = np.concatenate(
        [2 * knot_points[:1] - knot_points[1:2], knot_points, 2 * knot_points[-1:] - knot_points[-2:-1]]
    )
    positions = np.linspace(0, len(knot_points) - 1, count)
    segment = np.minimum(positions.astype(int), len(knot_points) - 2)
    t = (positions - segment)[:, None]
    a, b, c, d = (padded_points[segment + shift] for shift in range(4))
    return np.asarray(0.5 * (2 * b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * b - a - 3 * c + d)))))


def follow(at: Array, knots: Likes) -> Array:
    """The second coordinate of a spline through (place, value) knots, at places; constant beyond its ends."""
    curve_points = spline(knots, _KNOT_STEPS * len(np.asarray(knots)))
    return np.interp(at, curve_points[:, 0], curve_points[:, 1])


def splat(grid: Grid, x: Array, y: Array, amount: Array) -> Array:
    """Amounts dropped on the grid, each shared by the four nearest pixels; flat arrays of one length."""
    size = grid.size
    columns, rows = x * size - 0.5, y * size - 0.5
    is_inside = (columns >= 0) & (rows >= 0) & (columns < size - 1) & (rows < size - 1)
    columns, rows, amount = columns[is_inside], rows[is_inside], amount[is_inside]
    left_columns, top_rows = columns.astype(np.intp), rows.astype(np.intp)
    right_share, lower_share = columns - left_columns, rows - top_rows
    first_cells = top_rows * size + left_columns
    lower_amounts, upper_amounts = amount * lower_share, amount * (1.0 - lower_share)
    cells = np.concatenate([first_cells, first_cells + 1, first_cells + size, first_cells + size + 1])
    shares = np.concatenate(
        [
            upper_amounts * (1.0 - right_share),
            upper_amounts * right_share,
            lower_amounts * (1.0 - right_share),
            lower_amounts * right_share,
        ]
    )
    return np.bincount(cells, shares, size * size).reshape(size, size).astype(float)


def stroke(grid: Grid, lines: Array, width: Likes, depth: Likes, rim: float = 0.0) -> Array:
    """Lines drawn as rods.

    `lines` has shape (…, points, 2), `width` and the `depth` at the middle are numbers or of shape (…, points). A rod
    is round; `rim` is the share of it that is in its edges, as of a bone or a hollow tube.
    """
    tangents = np.gradient(lines, axis=-2)
    lengths = np.hypot(tangents[..., 0], tangents[..., 1]) + 1e-9
    normals = np.stack([-tangents[..., 1], tangents[..., 0]], axis=-1) / lengths[..., None]
    widths = np.broadcast_to(np.asarray(width, dtype=float), lengths.shape)
    step_count = max(3, int(np.ceil(float(widths.max()) * grid.size * 1.6)))
    t = (np.arange(step_count) + 0.5) / step_count * 2.0 - 1.0
    profile = (1.0 - rim) * np.sqrt(1.0 - t * t) + rim * 1.8 * t**6
    points = lines[..., None, :] + normals[..., None, :] * (widths[..., None] * t / 2.0)[..., None]
    areas = lengths * widths * depth * (grid.size**2 / step_count)
    amounts = areas[..., None] * profile
    return splat(grid, points[..., 0].ravel(), points[..., 1].ravel(), amounts.ravel())


@lru_cache(maxsize=32)
def _bell(sigma: float) -> tuple[float, ...]:
    radius = max(1, int(np.ceil(sigma * 2.5)))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return tuple(float(weight) for weight in weights / weights.sum())


def blur(picture: Array, sigma: float) -> Array:
    """A Gaussian blur, its `sigma` in pixels; the picture goes on at its edges as it ends there."""
    weights = _bell(sigma)
    radius = len(weights) // 2
    for axis in (0, 1):
        padded_picture = np.pad(
            picture, [(radius, radius) if padded_axis == axis else (0, 0) for padded_axis in (0, 1)], mode="edge"
        )
        axis_length = picture.shape[axis]
        picture = sum(
            (
                weight
                * (
                    padded_picture[offset : offset + axis_length]
                    if axis == 0
                    else padded_picture[:, offset : offset + axis_length]
                )
            )
            for offset, weight in enumerate(weights)
        )  # type: ignore[assignment]
    return picture


def enlarge(coarse: Array, size: int) -> Array:
    """A small square picture drawn over a large one, smoothly."""
    positions = np.linspace(0.0, coarse.shape[0] - 1.0, size)
    lower_index = np.minimum(positions.astype(np.intp), coarse.shape[0] - 2)
    fraction = smooth_step(positions - lower_index - 0.5, 1.0)
    row_blend = coarse[lower_index] + fraction[:, None] * (coarse[lower_index + 1] - coarse[lower_index])
    return np.asarray(
        row_blend[:, lower_index] + fraction[None, :] * (row_blend[:, lower_index + 1] - row_blend[:, lower_index])
    )


def mottle(rng: np.random.Generator, grid: Grid, cells: int) -> Array:
    """Smooth noise with a mean of 0 and about 1 of spread, with so many cells along a side."""
    return enlarge(rng.standard_normal((cells + 1, cells + 1)), grid.size)
