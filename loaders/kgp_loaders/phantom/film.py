"""A chest in a picture before the rays are counted, and its lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kgp_loaders.phantom.findings import Side, View
from kgp_loaders.phantom.patient import Patient
from kgp_loaders.phantom.raster import Array, Grid, stroke


@dataclass
class Lung:
    """A lung in a picture. Edges are x by row or y by column; `outer` is the chest's side, or its front."""

    outer: Array
    inner: Array
    base: Array
    field: Array  # 1 where this lung is in the image, 0 elsewhere
    air: Array  # cm
    vessels: Array  # cm, seen where there is air


@dataclass
class Film:
    """A chest before the rays are counted."""

    view: View
    patient: Patient
    grid: Grid
    body: Array  # cm, with the lungs full of water
    lungs: dict[Side, Lung]
    added: Array  # cm: bones, metal, and what findings add

    def thickness(self) -> Array:
        """What the rays went through."""
        total = self.body + self.added
        for lung in self.lungs.values():
            total += lung.vessels * np.clip(lung.air / 6.0, 0.0, 1.0) - lung.air
        return total

    def fill(self, side: Side, share: Array) -> None:
        """Take a share of the air out of a lung."""
        self.lungs[side].air *= 1.0 - np.clip(share, 0.0, 1.0)

    def rod(self, points: Array, width: float, depth: float, rim: float = 0.0) -> None:
        """Add a rod along places, of shape (…, points, 3)."""
        self.added += stroke(self.grid, self.patient.project(points, self.view), width, depth, rim)
