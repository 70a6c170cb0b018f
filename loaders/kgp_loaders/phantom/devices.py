"""Tubes, lines and other devices drawn into a chest: metal and plastic along places in the body."""

from __future__ import annotations

from typing import Final

import numpy as np

from kgp_loaders.phantom.film import Film
from kgp_loaders.phantom.findings import Kind, RadiographFinding, Side
from kgp_loaders.phantom.pathology import Draw, affected_sides, film_position
from kgp_loaders.phantom.patient import sign
from kgp_loaders.phantom.raster import ball, smooth_step, spline


def _tube(film: Film, knots: list[list[float]], width: float, depth: float, rim: float = 0.0, count: int = 160) -> None:
    film.rod(spline(np.array(knots), count), width, depth, rim)


def _et_tube(film: Film, device: RadiographFinding, rng: np.random.Generator) -> None:
    """Down the trachea to some 4 cm above its fork; a line in its wall shows best."""
    tip_height = film.patient.carina - rng.uniform(0.07, 0.12)
    knots = [[0.0, -0.05, 0.47], [0.002, 0.4 * tip_height, 0.5], [-0.003, tip_height, 0.53]]
    _tube(film, knots, 0.017, 1.3, 0.8)
    _tube(film, [[x + 0.004, y, z] for x, y, z in knots], 0.005, 7.0)


def _ng_tube(film: Film, device: RadiographFinding, rng: np.random.Generator) -> None:
    """Down the gullet and under the left dome into the stomach."""
    dome_height = film.patient.dome(Side.LEFT)
    sway = rng.normal(0.0, 0.006, 3)
    knots = [
        [0.012, -0.05, 0.56], [0.014 + sway[0], 0.3, 0.6], [0.012 + sway[1], 0.55, 0.62],
        [0.03 + sway[2], dome_height, 0.6], [0.09, dome_height + 0.09, 0.5],
        [0.15, dome_height + 0.13, 0.42], [0.19, dome_height + 0.1, 0.4],
    ]  # fmt: skip
    _tube(film, knots, 0.0085, 6.0, 0.3, 260)


def _central_line(film: Film, device: RadiographFinding, rng: np.random.Generator) -> None:
    """From the neck or under the collarbone into the superior vena cava."""
    patient = film.patient
    for side in affected_sides(device):
        direction = sign(side)
        cava_points = [
            [-0.05, patient.carina - 0.05, 0.45],
            [-0.055, patient.carina + 0.06 + rng.uniform(-0.02, 0.03), 0.45],
        ]
        if rng.random() < 0.5:
            entry_points = [[direction * 0.12, -0.03, 0.45], [direction * 0.09, patient.apex, 0.45]]
        else:
            entry_points = [[direction * 0.3, patient.apex + 0.1, 0.35], [direction * 0.17, patient.apex + 0.02, 0.4]]
        middle_points = [[direction * 0.04, patient.apex + 0.07, 0.45]] if side is Side.LEFT else []
        _tube(film, [*entry_points, *middle_points, *cava_points], 0.007, 6.0, 0.0, 220)


def _pacemaker(film: Film, device: RadiographFinding, rng: np.random.Generator) -> None:
    """A box under the collarbone, and leads to the right atrium and ventricle."""
    patient = film.patient
    for side in affected_sides(device):
        direction = sign(side)
        box_centre = np.array([direction * 0.27, patient.apex + 0.12, 0.24])
        x, y = film_position(film, box_centre)
        ellipse_distance = np.hypot((film.grid.x - x) / 0.048, (film.grid.y - y) / 0.042)
        square_distance = np.maximum(np.abs(film.grid.x - x) / 0.05, np.abs(film.grid.y - y) / 0.044)
        film.added += 22.0 * smooth_step(1.0 - 0.5 * (ellipse_distance + square_distance), 0.06)
        film.added += 8.0 * smooth_step(0.6 - square_distance, 0.1)
        dome_level = patient.domes[Side.LEFT]
        vein_points = [[direction * 0.25, patient.apex + 0.09, 0.26], [direction * 0.12, patient.apex + 0.05, 0.38]]
        cava_points = [[-0.045, patient.carina - 0.04, 0.45]]
        atrium_points = [[-0.06, dome_level - 0.16, 0.46], [-0.03, dome_level - 0.13, 0.42]]
        ventricle_points = [
            [-0.055, dome_level - 0.1, 0.45],
            [0.02, dome_level - 0.03, 0.38],
            [0.13, dome_level - 0.015, 0.32],
        ]
        for lead_points in (atrium_points, ventricle_points):
            _tube(film, [*vein_points, *cava_points, *lead_points], 0.0055, 6.5, 0.0, 260)
            film.added += 6.0 * ball(film.grid, film_position(film, np.array(lead_points[-1])), (0.006, 0.006))


def _chest_tube(film: Film, device: RadiographFinding, rng: np.random.Generator) -> None:
    """From the side of the chest up towards the apex, a gap in its line where its last hole is."""
    patient = film.patient
    for side in affected_sides(device):
        direction, entry_height = sign(side), 0.6 * patient.dome(side) + 0.4 * patient.apex
        wall_offset = float(patient.wall(np.array([entry_height]), side)[0])
        knots = [
            [direction * (wall_offset + 0.08), entry_height + 0.1, 0.55],
            [direction * wall_offset, entry_height + 0.04, 0.55],
            [direction * wall_offset * 0.75, entry_height - 0.09, 0.6],
            [direction * wall_offset * 0.5, patient.apex + 0.07 + rng.uniform(-0.02, 0.03), 0.6],
        ]  # fmt: skip
        _tube(film, knots, 0.017, 1.4, 0.85)
        tube_line = spline(np.array(knots), 200)
        film.rod(tube_line[:130], 0.005, 5.5)
        film.rod(tube_line[142:], 0.005, 5.5)


def _wires(film: Film, device: RadiographFinding, rng: np.random.Generator) -> None:
    """Loops of wire through the breastbone, one below the other."""
    patient = film.patient
    for wire_number in range(6):
        y = patient.carina - 0.12 + 0.062 * wire_number
        turns = np.linspace(0.0, 2 * np.pi, 60)
        front_depth = float(patient.breastbone(np.array([y]))[0])
        loop_size = rng.uniform(0.9, 1.1)
        loop_tilt = rng.normal(0.0, 0.15)
        x_offset, y_offset = 0.017 * loop_size * np.sin(turns), 0.011 * loop_size * np.sin(2 * turns + loop_tilt)
        x = patient.turn + x_offset
        film.rod(np.stack([x, y + y_offset, front_depth - 0.01 + 0.008 * np.cos(turns)], axis=-1), 0.0045, 15.0)


def _port(film: Film, device: RadiographFinding, rng: np.random.Generator) -> None:
    """A chamber under the skin, and a catheter from it into the superior vena cava."""
    patient = film.patient
    for side in affected_sides(device):
        direction = sign(side)
        chamber_centre = np.array([direction * 0.21, patient.apex + 0.17, 0.25])
        x, y = film_position(film, chamber_centre)
        distance = np.hypot(film.grid.x - x, film.grid.y - y) / 0.026
        film.added += 9.0 * smooth_step(1.0 - distance, 0.1) - 5.0 * smooth_step(0.6 - distance, 0.12)
        cava_points = [[-0.05, patient.carina - 0.05, 0.45], [-0.055, patient.carina + 0.08, 0.45]]
        catheter_points = [[direction * 0.2, patient.apex + 0.15, 0.26], [direction * 0.14, patient.apex + 0.01, 0.36]]
        _tube(
            film, [*catheter_points, [direction * 0.07, patient.apex + 0.05, 0.42], *cava_points], 0.006, 4.8, 0.0, 220
        )


DEVICES: Final[dict[Kind, Draw]] = {
    Kind.ET_TUBE: _et_tube,
    Kind.NG_TUBE: _ng_tube,
    Kind.CENTRAL_LINE: _central_line,
    Kind.PACEMAKER: _pacemaker,
    Kind.CHEST_TUBE: _chest_tube,
    Kind.WIRES: _wires,
    Kind.PORT: _port,
}
