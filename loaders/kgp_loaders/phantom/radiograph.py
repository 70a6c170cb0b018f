"""Invented chest radiographs: a chest as thicknesses, findings and devices in it, then the rays and the film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kgp_loaders.phantom.anatomy import Film, chest
from kgp_loaders.phantom.devices import DEVICES
from kgp_loaders.phantom.findings import Kind, Shown, View
from kgp_loaders.phantom.pathology import FINDINGS, build_of
from kgp_loaders.phantom.patient import invent
from kgp_loaders.phantom.raster import Array, Grid, blur, enlarge

SIZES: Final = (64, 2048)  # the smallest and largest picture
_DRAWN: Final = {**FINDINGS, **DEVICES}
_ORDER: Final = tuple(Kind)
_ABSORBED: Final = 0.17  # of the rays, a cm of water
_SCATTERED: Final = 0.13  # of the rays that come through
_RANGE: Final = {View.FRONTAL: (3.4, 26.5), View.LATERAL: (5.0, 29.0)}  # cm that are black and white
_STEEP: Final = 4.4  # the film's curve
# The letter of the marker at the patient's left, in dots.
_MARK: Final = ("X....", "X....", "X....", "X....", "X....", "X....", "XXXXX")


def draw(view: View, shown: Sequence[Shown], rng: np.random.Generator, size: int = 256) -> NDArray[np.uint8]:
    """A radiograph that shows these findings, as grey values of shape (size, size); 0 is black.

    The same generator, as it comes, gives the same patient whatever is shown. A finding without a side is drawn on
    both, or where it is alone. Raises `ValueError` for a size out of range.
    """
    if not SIZES[0] <= size <= SIZES[1] or size % 32:
        raise ValueError(f"the size must be a multiple of 32 from {SIZES[0]} to {SIZES[1]}")
    build, inside, noise, *parts = rng.spawn(3 + len(_ORDER))
    patient = build_of(invent(build), tuple(shown))
    film = chest(view, patient, Grid(size), inside)
    for item in sorted(shown, key=lambda item: _ORDER.index(item.kind)):
        _DRAWN[item.kind](film, item, parts[_ORDER.index(item.kind)])
    return _exposed(film, noise)


def _exposed(film: Film, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture: rays are absorbed and scattered, counted with noise, and shown on a curve as a film's."""
    size = film.grid.size
    beam = np.exp(-_ABSORBED * np.maximum(film.thickness(), 0.0))
    coarse = beam.reshape(32, size // 32, 32, size // 32).mean(axis=(1, 3))
    beam = (1.0 - _SCATTERED) * beam + _SCATTERED * enlarge(blur(coarse, 3.0), size)
    seen = -np.log(beam) / _ABSORBED
    grain = rng.standard_normal((size, size))
    seen = blur(seen + 0.11 * grain * np.exp(0.05 * seen), 0.55 * size / 256)
    seen += 0.55 * (seen - blur(seen, 4.0 * size / 256))  # edges are sharpened, as every reader's screen does
    low, high = _RANGE[film.view]
    grey = _curve((seen - low) / (high - low))
    return np.clip(_marked(grey) * 238 + 6, 0, 255).astype(np.uint8)


def _curve(share: Array) -> Array:
    """An S from 0 to 1."""
    ends = 1.0 / (1.0 + np.exp(_STEEP * np.array([0.5, -0.5])))
    grey = 1.0 / (1.0 + np.exp(-_STEEP * (share - 0.5)))
    return np.asarray(np.clip((grey - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def _marked(grey: Array) -> Array:
    """The picture with an L in its upper right corner."""
    dot = max(1, len(grey) // 128)
    letter = np.kron(np.array([[mark == "X" for mark in row] for row in _MARK]), np.ones((dot, dot))) > 0
    top, left = 6 * dot, len(grey) - 12 * dot
    corner = grey[top : top + letter.shape[0], left : left + letter.shape[1]]
    corner[letter] = 0.95
    return grey
