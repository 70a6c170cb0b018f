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


def step(distance: Array, width: float) -> Array:
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
    given = np.asarray(knots, dtype=float)
    padded = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    place = np.linspace(0, len(given) - 1, count)
    at = np.minimum(place.astype(int), len(given) - 2)
    t = (place - at)[:, None]
    a, b, c, d = (padded[at + shift] for shift in range(4))
    return np.asarray(0.5 * (2 * b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * b - a - 3 * c + d)))))


def follow(at: Array, knots: Likes) -> Array:
    """The second coordinate of a spline through (place, value) knots, at places; constant beyond its ends."""
    points = spline(knots, _KNOT_STEPS * len(np.asarray(knots)))
    return np.interp(at, points[:, 0], points[:, 1])


def splat(grid: Grid, x: Array, y: Array, amount: Array) -> Array:
    """Amounts dropped on the grid, each shared by the four nearest pixels; flat arrays of one length."""
    size = grid.size
    column, row = x * size - 0.5, y * size - 0.5
    inside = (column >= 0) & (row >= 0) & (column < size - 1) & (row < size - 1)
    column, row, amount = column[inside], row[inside], amount[inside]
    left, top = column.astype(np.intp), row.astype(np.intp)
    right, down = column - left, row - top
    first = top * size + left
    lower, upper = amount * down, amount * (1.0 - down)
    cells = np.concatenate([first, first + 1, first + size, first + size + 1])
    shares = np.concatenate([upper * (1.0 - right), upper * right, lower * (1.0 - right), lower * right])
    return np.bincount(cells, shares, size * size).reshape(size, size).astype(float)


def stroke(grid: Grid, lines: Array, width: Likes, depth: Likes, rim: float = 0.0) -> Array:
    """Lines drawn as rods.

    `lines` has shape (…, points, 2), `width` and the `depth` at the middle are numbers or of shape (…, points). A rod
    is round; `rim` is the share of it that is in its edges, as of a bone or a hollow tube.
    """
    along = np.gradient(lines, axis=-2)
    length = np.hypot(along[..., 0], along[..., 1]) + 1e-9
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1) / length[..., None]
    widths = np.broadcast_to(np.asarray(width, dtype=float), length.shape)
    count = max(3, int(np.ceil(float(widths.max()) * grid.size * 1.6)))
    t = (np.arange(count) + 0.5) / count * 2.0 - 1.0
    profile = (1.0 - rim) * np.sqrt(1.0 - t * t) + rim * 1.8 * t**6
    points = lines[..., None, :] + across[..., None, :] * (widths[..., None] * t / 2.0)[..., None]
    area = length * widths * depth * (grid.size**2 / count)
    amount = area[..., None] * profile
    return splat(grid, points[..., 0].ravel(), points[..., 1].ravel(), amount.ravel())


@lru_cache(maxsize=32)
def _bell(sigma: float) -> tuple[float, ...]:
    reach = max(1, int(np.ceil(sigma * 2.5)))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return tuple(float(share) for share in bell / bell.sum())


def blur(picture: Array, sigma: float) -> Array:
    """A Gaussian blur, its `sigma` in pixels; the picture goes on at its edges as it ends there."""
    bell = _bell(sigma)
    reach = len(bell) // 2
    for axis in (0, 1):
        padded = np.pad(picture, [(reach, reach) if side == axis else (0, 0) for side in (0, 1)], mode="edge")
        length = picture.shape[axis]
        picture = sum(
            (share * (padded[at : at + length] if axis == 0 else padded[:, at : at + length]))
            for at, share in enumerate(bell)
        )  # type: ignore[assignment]
    return picture


def enlarge(coarse: Array, size: int) -> Array:
    """A small square picture drawn over a large one, smoothly."""
    place = np.linspace(0.0, coarse.shape[0] - 1.0, size)
    at = np.minimum(place.astype(np.intp), coarse.shape[0] - 2)
    share = step(place - at - 0.5, 1.0)
    rows = coarse[at] + share[:, None] * (coarse[at + 1] - coarse[at])
    return np.asarray(rows[:, at] + share[None, :] * (rows[:, at + 1] - rows[:, at]))


def mottle(rng: np.random.Generator, grid: Grid, cells: int) -> Array:
    """Smooth noise with a mean of 0 and about 1 of spread, with so many cells along a side."""
    return enlarge(rng.standard_normal((cells + 1, cells + 1)), grid.size)
