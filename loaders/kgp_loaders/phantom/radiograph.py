"""Synthetic chest radiographs: a chest as thicknesses, findings and devices in it, then the rays and the film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kgp_loaders.phantom.anatomy import chest
from kgp_loaders.phantom.devices import DEVICES
from kgp_loaders.phantom.film import Film
from kgp_loaders.phantom.findings import Kind, RadiographFinding, View
from kgp_loaders.phantom.pathology import FINDINGS, altered_build
from kgp_loaders.phantom.patient import invent
from kgp_loaders.phantom.raster import Array, Grid, blur, enlarge

SIZES: Final = (64, 2048)  # the smallest and largest image
_PAINTERS: Final = {**FINDINGS, **DEVICES}
_ORDER: Final = tuple(Kind)
_ABSORBED: Final = 0.17  # of the rays, a cm of water
_SCATTERED: Final = 0.13  # of the rays that come through
_RANGE: Final = {View.FRONTAL: (3.4, 26.5), View.LATERAL: (5.0, 29.0)}  # cm that are black and white
_STEEP: Final = 4.4  # the film's curve
# The letter of the marker at the patient's left, in dots.
_MARK: Final = ("X....", "X....", "X....", "X....", "X....", "X....", "XXXXX")


def render_radiograph(
    view: View, findings: Sequence[RadiographFinding], rng: np.random.Generator, size: int = 256
) -> NDArray[np.uint8]:
    """A radiograph that shows these findings, as grey values of shape (size, size); 0 is black.

    The same generator, as it comes, gives the same patient regardless of what is shown. A finding without a side is
    drawn on both, or where it is alone. Raises `ValueError` for a size out of range.
    """
    if not SIZES[0] <= size <= SIZES[1] or size % 32:
        raise ValueError(f"the size must be a multiple of 32 from {SIZES[0]} to {SIZES[1]}")
    build_rng, inside_rng, noise_rng, *part_rngs = rng.spawn(3 + len(_ORDER))
    patient = altered_build(invent(build_rng), tuple(findings))
    film = chest(view, patient, Grid(size), inside_rng)
    for finding in sorted(findings, key=lambda finding: _ORDER.index(finding.kind)):
        _PAINTERS[finding.kind](film, finding, part_rngs[_ORDER.index(finding.kind)])
    return _exposed(film, noise_rng)


def _exposed(film: Film, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture: rays are absorbed and scattered, counted with noise, and shown on a curve as a film's."""
    size = film.grid.size
    beam = np.exp(-_ABSORBED * np.maximum(film.thickness(), 0.0))
    coarse_beam = beam.reshape(32, size // 32, 32, size // 32).mean(axis=(1, 3))
    beam = (1.0 - _SCATTERED) * beam + _SCATTERED * enlarge(blur(coarse_beam, 3.0), size)
    exposure = -np.log(beam) / _ABSORBED
    grain = rng.standard_normal((size, size))
    exposure = blur(exposure + 0.11 * grain * np.exp(0.05 * exposure), 0.55 * size / 256)
    exposure += 0.55 * (
        exposure - blur(exposure, 4.0 * size / 256)
    )  # edges are sharpened, as every reader's screen does
    darkest, brightest = _RANGE[film.view]
    grey_levels = _curve((exposure - darkest) / (brightest - darkest))
    return np.clip(_marked(grey_levels) * 238 + 6, 0, 255).astype(np.uint8)


def _curve(level: Array) -> Array:
    """An S from 0 to 1."""
    end_levels = 1.0 / (1.0 + np.exp(_STEEP * np.array([0.5, -0.5])))
    grey_levels = 1.0 / (1.0 + np.exp(-_STEEP * (level - 0.5)))
    return np.asarray(np.clip((grey_levels - end_levels[0]) / (end_levels[1] - end_levels[0]), 0.0, 1.0))


def _marked(grey_levels: Array) -> Array:
    """The picture with an L in its upper right corner."""
    dot_size = max(1, len(grey_levels) // 128)
    letter = (
        np.kron(np.array([[symbol == "X" for symbol in mark_row] for mark_row in _MARK]), np.ones((dot_size, dot_size)))
        > 0
    )
    top_row, left_column = 6 * dot_size, len(grey_levels) - 12 * dot_size
    corner = grey_levels[top_row : top_row + letter.shape[0], left_column : left_column + letter.shape[1]]
    corner[letter] = 0.95
    return grey_levels
