"""The bones of a chest: ribs, spine and shoulders."""

from __future__ import annotations

from typing import Final

import numpy as np

from kgp_loaders.phantom.film import Film
from kgp_loaders.phantom.findings import View
from kgp_loaders.phantom.patient import RIBS, SIDES, sign
from kgp_loaders.phantom.raster import ball, smooth_step, spline

_VERTEBRA: Final = 0.056  # the height of one, with its disc


def add_bones(film: Film) -> None:
    """Add ribs, spine and shoulders, or from the side ribs and spine."""
    patient, frontal = film.patient, film.view is View.FRONTAL
    for side in SIDES:
        rib_turns = np.linspace(0.05, 0.7, 230)
        ribs = np.stack(
            [
                patient.rib(rib_number, side, rib_turns * (1.0 - 0.02 * max(0, rib_number - 5)))
                for rib_number in range(RIBS)
            ]
        )
        film.rod(ribs, 0.023, (1.3 if frontal else 0.6) * patient.bones, 0.45)
    if frontal:
        _vertebrae(film)
        _shoulders(film)
    else:
        _column(film)


def _vertebrae(film: Film) -> None:
    """The spine from the front: bodies, discs, pedicles and spines."""
    patient, grid = film.patient, film.grid
    relative_x = (grid.x - patient.axis(grid.y) - patient.spine(grid.y)) / (0.042 + 0.016 * grid.y)
    phase = grid.y / _VERTEBRA
    disc = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    distance = np.abs(relative_x)
    flank = smooth_step(1.0 - 0.1 * (1 - disc) - distance, 0.15)
    pedicles = np.exp(-(((distance - 0.62) / 0.16) ** 2) - ((phase % 1.0 - 0.45) / 0.17) ** 2)
    spinous = np.exp(-((distance / 0.13) ** 2) - ((phase % 1.0 - 0.75) / 0.22) ** 2)
    rims = np.exp(-(((phase % 1.0 - 0.12) / 0.05) ** 2)) + np.exp(-(((phase % 1.0 - 0.88) / 0.05) ** 2))
    body_sides = np.exp(-(((distance - 0.92) / 0.09) ** 2))
    film.added += (
        patient.bones * flank * (1.7 - 0.9 * disc**4 + 0.9 * pedicles + 0.9 * spinous + 0.5 * rims + 0.5 * body_sides)
    )


def _shoulders(film: Film) -> None:
    """Collarbones, shoulder blades and the heads of the upper arms."""
    patient = film.patient
    apex_height, width_scale = patient.apex, patient.half / 0.365
    for side in SIDES:
        direction = sign(side)
        scale = np.array([direction * width_scale, 1.0, 1.0])
        shift = np.array([patient.turn, apex_height, 0.0])
        collarbone = np.array(
            [[0.04, 0.075, 0.2], [0.11, 0.05, 0.2], [0.2, 0.01, 0.25], [0.29, -0.02, 0.3], [0.38, -0.018, 0.4]]
        )
        film.rod(spline(collarbone, 150) * scale + shift, 0.026, 1.1 * patient.bones, 0.4)
        blade = np.array([[0.395, 0.03, 0.8], [0.385, 0.12, 0.8], [0.365, 0.22, 0.85], [0.335, 0.32, 0.85]])
        film.rod(spline(blade, 120) * scale + shift, 0.016, 1.0 * patient.bones, 0.2)
        ridge = np.array([[0.25, 0.045, 0.85], [0.33, 0.005, 0.85], [0.42, -0.03, 0.8]])
        film.rod(spline(ridge, 100) * scale + shift, 0.02, 0.6 * patient.bones, 0.3)
        blade_edge = np.array([[0.25, 0.045, 0.85], [0.27, 0.15, 0.85], [0.3, 0.25, 0.85], [0.335, 0.32, 0.85]])
        film.rod(spline(blade_edge, 100) * scale + shift, 0.01, 0.35 * patient.bones, 0.2)
        upper_arm = np.array([[0.455, 0.0, 0.6], [0.465, 0.05, 0.6], [0.485, 0.2, 0.6], [0.5, 0.4, 0.6]])
        film.rod(spline(upper_arm, 120) * scale + shift, 0.055, 1.5 * patient.bones, 0.35)
        arm_head = (patient.middle + patient.turn + direction * width_scale * 0.45, apex_height + 0.03)
        film.added += 2.0 * patient.bones * ball(film.grid, arm_head, (0.042, 0.048)) ** 0.7


def _column(film: Film) -> None:
    """The spine from the side: bodies with bright rims, and discs."""
    patient, grid = film.patient, film.grid
    centre = patient.column(grid.line)
    relative_x = (grid.x - centre[:, None]) / (0.036 + 0.016 * grid.y)
    slope = np.gradient(centre, grid.line)[:, None]
    phase = ((grid.y + slope * (grid.x - centre[:, None])) / (_VERTEBRA * 1.12)) % 1.0
    distance = np.abs(relative_x)
    vertebral_body = smooth_step(1.0 - distance, 0.12) * smooth_step(0.41 - np.abs(phase - 0.5), 0.06)
    bright_rim = smooth_step(1.0 - distance, 0.12) * np.exp(-(((np.abs(phase - 0.5) - 0.38) / 0.045) ** 2))
    side_wall = np.exp(-(((distance - 0.93) / 0.1) ** 2)) * smooth_step(0.42 - np.abs(phase - 0.5), 0.06)
    posterior = np.exp(-(((relative_x - 1.8) / 0.5) ** 2)) * (0.6 + 0.4 * np.cos(2 * np.pi * phase))
    film.added += patient.bones * (
        1.7 * vertebral_body
        + 1.0 * bright_rim
        + 0.8 * side_wall
        + 1.0 * posterior
        + 1.6 * smooth_step(1.0 - distance, 0.3)
    )
