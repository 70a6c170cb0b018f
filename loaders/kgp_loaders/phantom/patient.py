"""A synthetic patient's build: where the organs lie, in the picture's shares, alike in both views.

A place is (x, y, z): x from the midline to the patient's left (the viewer's right in a frontal picture), y down,
z from the front to the back (to the viewer's right in a lateral picture).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from kgp_loaders.phantom.findings import Side, View
from kgp_loaders.phantom.raster import Array, follow

SIDES: Final = (Side.RIGHT, Side.LEFT)
RIBS: Final = 10

# Shares of the way from the lung's apex to its foot, and of half the chest's width.
_WALL: Final = (
    (0.0, 0.36),
    (0.02, 0.47),
    (0.06, 0.57),
    (0.13, 0.68),
    (0.25, 0.79),
    (0.4, 0.875),
    (0.6, 0.945),
    (0.8, 0.985),
    (1.0, 1.0),
)
_INNER: Final = ((0.0, 0.36), (0.02, 0.27), (0.06, 0.19), (0.12, 0.13), (0.3, 0.11), (1.0, 0.11))
# Shares of the way from the apex to the domes, and of half the chest's width.
_RIGHT_BORDER: Final = (
    (-0.3, 0.11),
    (0.0, 0.13),
    (0.15, 0.16),
    (0.35, 0.165),
    (0.5, 0.18),
    (0.62, 0.235),
    (0.78, 0.275),
    (0.92, 0.265),
    (1.05, 0.22),
    (1.3, 0.2),
)
_LEFT_BORDER: Final = (
    (-0.3, 0.1),
    (0.0, 0.13),
    (0.12, 0.15),
    (0.2, 0.19),
    (0.27, 0.245),
    (0.335, 0.225),
    (0.39, 0.2),
    (0.47, 0.235),
    (0.6, 0.345),
    (0.75, 0.495),
    (0.88, 0.61),
    (0.97, 0.645),
    (1.06, 0.61),
    (1.2, 0.5),
)
_HEART_TOP: Final = 0.47  # on that scale: the great vessels are above it
_BREASTBONE: Final = ((0.0, 0.42), (0.12, 0.36), (0.2, 0.31), (0.35, 0.235), (0.55, 0.18), (0.75, 0.165), (1.0, 0.18))
_BACK: Final = ((0.0, 0.64), (0.1, 0.71), (0.25, 0.81), (0.45, 0.87), (0.65, 0.87), (0.85, 0.82), (1.0, 0.78))
_SPINE: Final = ((0.0, 0.57), (0.1, 0.62), (0.25, 0.70), (0.45, 0.755), (0.65, 0.75), (0.85, 0.70), (1.0, 0.66))


def sign(side: Side) -> int:
    """The direction of x to this side: 1 to the left, -1 to the right."""
    return -1 if side is Side.RIGHT else 1


@dataclass(frozen=True, slots=True)
class Patient:
    """A build. Lengths are shares of the picture's side, of about 38 cm."""

    middle: float  # x of the midline at half height
    lean: float  # of the midline, from top to bottom
    half: float  # half the inner width of the chest
    apex: float  # y of the tops of the lungs
    domes: Mapping[Side, float]  # y of the tops of the diaphragm
    angle: float  # from a dome down to the outer corner of its lung
    carina: float  # y of the trachea's fork
    heart: float  # times the usual width
    knob: float  # of the aorta, times the usual
    turn: float  # how far the patient turned: the breastbone's x against the spine's
    stout: float  # soft tissue, times the usual
    breasts: float  # 0 for none
    deep: float  # front to back, times the usual
    bend: float = 0.0  # of the spine, to a side
    bones: float = 1.0  # their calcium, times the usual
    vessels: float = 1.0  # in the lungs, times the usual
    rise: Mapping[Side, float] = field(default_factory=dict)  # of a dome that is too high

    def axis(self, y: Array) -> Array:
        """X of the midline."""
        return self.middle + self.lean * (y - 0.5)

    def spine(self, y: Array) -> Array:
        """X of the spine, from the midline."""
        return self.bend * np.sin((y - 0.12) * 7.0) - 0.3 * self.turn

    def foot(self, side: Side) -> float:
        """Y of the outer lower corner of a lung; it stays where it is if the dome is too high."""
        return self.domes[side] + self.angle

    def dome(self, side: Side) -> float:
        """Y of the top of a dome."""
        return self.domes[side] - self.rise.get(side, 0.0)

    def wall(self, y: Array, side: Side) -> Array:
        """How far the inside of the chest's side is from the midline."""
        height_share = (y - self.apex) / (self.foot(side) - self.apex)
        return self.half * follow(height_share, _WALL)

    def inner(self, y: Array, side: Side) -> Array:
        """How far the inner edge of the lung is from the midline, the heart aside."""
        height_share = (y - self.apex) / (self.foot(side) - self.apex)
        return self.half * follow(height_share, _INNER)

    def border(self, y: Array, side: Side) -> Array:
        """How far the edge of the heart and the great vessels is from the midline."""
        dome_level = 0.5 * (self.domes[Side.LEFT] + self.domes[Side.RIGHT])
        height_share = (y - self.apex) / (dome_level - self.apex)
        border_distance = follow(height_share, _LEFT_BORDER if side is Side.LEFT else _RIGHT_BORDER)
        lower_share = np.clip((height_share - _HEART_TOP + 0.1) / 0.25, 0.0, 1.0)
        border_distance = border_distance * (1.0 + (self.heart - 1.0) * lower_share)
        if side is Side.LEFT:
            border_distance = border_distance + (self.knob - 1.0) * 0.16 * np.exp(
                -(((height_share - 0.27) / 0.06) ** 2)
            )
        return self.half * border_distance

    def breastbone(self, y: Array) -> Array:
        """Z of the inside of the front of the chest."""
        return 0.5 + self.deep * (follow(y, _BREASTBONE) - 0.5)

    def back(self, y: Array) -> Array:
        """Z of the inside of the back of the chest."""
        return 0.5 + self.deep * (follow(y, _BACK) - 0.5)

    def column(self, y: Array) -> Array:
        """Z of the middle of the vertebrae."""
        return 0.5 + self.deep * (follow(y, _SPINE) - 0.5)

    def project(self, points: Array, view: View) -> Array:
        """Where places, of shape (…, 3), fall in the picture: shape (…, 2)."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        image_x = self.axis(y) + x if view is View.FRONTAL else 0.5 + self.deep * (z - 0.5)
        return np.stack([image_x, y], axis=-1)

    def rib(self, number: int, side: Side, turns: Array) -> Array:
        """Places along a rib: `turns` is 0 at the spine, 0.5 at the chest's side, 1 at the breastbone."""
        rib_level = number / (RIBS - 1)
        rib_top = (
            self.apex - 0.015 + (0.5 * (self.domes[Side.LEFT] + self.domes[Side.RIGHT]) + 0.0 - self.apex) * rib_level
        )
        drop = 0.06 + 0.30 * np.sqrt(rib_level) - 0.1 * rib_level
        depth_share = 0.5 - 0.5 * np.cos(np.pi * turns)
        y = rib_top + drop * depth_share - 0.012 * np.sin(2 * np.pi * np.minimum(turns, 0.5))
        wall_distance = float(self.wall(np.array([rib_top + 0.5 * drop]), side)[0]) * 1.015
        x = sign(side) * wall_distance * np.sin(np.pi * turns)
        x = x + self.spine(y) * (1.0 - 0.7 * np.minimum(1.0, 2 * turns))
        front_edge, back_edge = follow(y, _BREASTBONE), follow(y, _BACK)
        return np.stack([x, y, back_edge + (front_edge - back_edge) * depth_share], axis=-1)


def invent(rng: np.random.Generator) -> Patient:
    """A patient by chance."""

    def about(usual: float, spread: float) -> float:
        return float(usual + spread * np.clip(rng.standard_normal() * 0.6, -1.3, 1.3))

    dome = about(0.675, 0.04)
    apex = about(0.115, 0.025)
    return Patient(
        middle=about(0.5, 0.015),
        lean=about(0.0, 0.025),
        half=about(0.365, 0.022),
        apex=apex,
        domes={Side.RIGHT: dome, Side.LEFT: dome + about(0.022, 0.012)},
        angle=about(0.105, 0.02),
        carina=apex + about(0.42, 0.02) * (dome - apex),
        heart=about(1.0, 0.1),
        knob=about(1.0, 0.35),
        turn=about(0.0, 0.02),
        stout=about(1.0, 0.12),
        breasts=max(0.0, about(0.35, 0.7)),
        deep=about(1.0, 0.08),
        bones=about(1.0, 0.25),
        vessels=about(1.0, 0.2),
    )
