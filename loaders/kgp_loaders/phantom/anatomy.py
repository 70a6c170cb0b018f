"""A normal chest as thicknesses that the rays went through, in cm of water, frontal and lateral."""

from __future__ import annotations

from typing import Final

import numpy as np

from kgp_loaders.phantom.film import Film, Lung
from kgp_loaders.phantom.findings import Side, View
from kgp_loaders.phantom.patient import SIDES, Patient, sign
from kgp_loaders.phantom.raster import Array, Grid, ball, bulge, cloud, follow, mottle, smooth_step, spline, stroke
from kgp_loaders.phantom.skeleton import add_bones

CM: Final = 1 / 38.0  # of the image's side
_EDGE: Final = 0.007  # how soft the edge of an organ is
_WALL: Final = {View.FRONTAL: 7.0, View.LATERAL: 8.5}  # cm of muscle, fat and blood where there is lung
_POINTS: Final = 40  # of a vessel


def chest(view: View, patient: Patient, grid: Grid, rng: np.random.Generator) -> Film:
    """A normal chest of this patient. The same draws are made of `rng` regardless of the patient's build."""
    vessel_rng, tissue_rng, bowel_rng = rng.spawn(3)
    film = _frontal(patient, grid) if view is View.FRONTAL else _lateral(patient, grid)
    for side in SIDES:
        film.lungs[side].vessels = _vessels(film, side, vessel_rng)
    _abdomen(film, bowel_rng)
    add_bones(film)
    film.body *= 1.0 + 0.02 * mottle(tissue_rng, grid, 7) + 0.015 * mottle(tissue_rng, grid, 23)
    return film


def _frontal(patient: Patient, grid: Grid) -> Film:
    y, axis = grid.line, patient.axis(grid.line)
    body = _trunk(patient, grid)
    lungs = {}
    for side in SIDES:
        direction = sign(side)
        outer_edge, inner_edge = axis + direction * patient.wall(y, side), axis + direction * patient.inner(y, side)
        offset = direction * (grid.line - axis.mean())
        lateral_position = (offset / patient.half - 0.42) / 0.58
        base_drop = (
            np.where(lateral_position > 0, patient.angle + patient.dome(side) * 0, 0.03)
            * np.abs(lateral_position) ** 2.2
        )
        base_lift = patient.rise.get(side, 0.0) * np.clip(lateral_position, 0.0, 1.0) ** 2.2
        lung_base = patient.dome(side) + base_drop + base_lift
        lung_field = bulge(direction * (outer_edge[:, None] - grid.x), 0.05) * smooth_step(
            direction * (grid.x - inner_edge[:, None]), _EDGE
        )
        lung_field *= smooth_step(grid.y - patient.apex, _EDGE) * smooth_step(lung_base[None, :] - grid.y, _EDGE)
        air_depth = lung_field * np.maximum(0.0, body - _WALL[View.FRONTAL] * patient.stout)
        lungs[side] = Lung(
            outer_edge, axis + direction * patient.border(y, side), lung_base, lung_field, air_depth, grid.zeros()
        )
    film = Film(View.FRONTAL, patient, grid, body, lungs, grid.zeros())
    _mediastinum(film)
    _breasts(film)
    return film


def _trunk(patient: Patient, grid: Grid) -> Array:
    """Neck, shoulders and trunk from the front."""
    y, shoulder_top = grid.line, patient.apex - 0.115
    width_knots = ((0.0, 0.135), (0.05, 0.15), (0.09, 0.2), (0.125, 0.36), (0.16, 0.52), (0.24, 0.6), (0.4, 0.57))
    body_width = follow(y - shoulder_top, (*width_knots, (0.55, 0.5), (0.7, 0.455), (1.0, 0.445))) * (
        patient.half / 0.365
    )
    body_width *= 0.6 + 0.4 * patient.stout
    body_depth = follow(
        y - shoulder_top, ((0.0, 12.5), (0.08, 13.5), (0.16, 15.5), (0.3, 20.0), (0.5, 22.0), (0.75, 23.0), (1.0, 23.0))
    )
    relative_x = np.abs(grid.x - patient.axis(y)[:, None]) / body_width[:, None]
    return np.asarray(body_depth[:, None] * patient.stout**0.5 * np.maximum(0.0, 1.0 - relative_x**2.6) ** 0.55)


def _mediastinum(film: Film) -> None:
    """The heart and the great vessels push the lungs aside; the trachea and the main bronchi hold air."""
    patient, grid = film.patient, film.grid
    axis, carina_level = patient.axis(grid.y), patient.carina
    for side in SIDES:
        lung_edge = film.lungs[side].inner[:, None]
        inward = sign(side) * (lung_edge - grid.x)
        film.fill(side, 0.8 * bulge(inward + 0.004, 0.1) + 0.1 * smooth_step(inward, 0.01))
    # The aorta goes down left of the spine, seen through the heart.
    film.added += (
        1.2 * bulge(0.03 - np.abs(grid.x - axis - 0.045), 0.02) * smooth_step(grid.y - carina_level + 0.1, 0.08)
    )
    film.added += 0.5 * bulge(0.055 - np.abs(grid.x - axis - film.patient.turn), 0.03) * smooth_step(0.9 - grid.y, 0.2)
    trachea = np.array([[0.0, -0.05, 0.5], [-0.003, carina_level * 0.5, 0.52], [-0.008, carina_level, 0.55]])
    film.rod(spline(trachea, 80), 0.048, -3.2)
    for side, bronchus_reach, bronchus_drop in ((Side.RIGHT, 0.075, 0.07), (Side.LEFT, 0.11, 0.075)):
        bronchus_ends = np.array(
            [
                [-0.008, carina_level - 0.01, 0.55],
                [sign(side) * bronchus_reach * 0.5, carina_level + bronchus_drop * 0.45, 0.56],
            ]
        )
        bronchus = np.vstack([bronchus_ends, [sign(side) * bronchus_reach, carina_level + bronchus_drop, 0.57]])
        film.rod(spline(bronchus, 50), 0.03, -2.2)


def _breasts(film: Film) -> None:
    patient, grid = film.patient, film.grid
    if patient.breasts < 0.15:
        return
    for side in SIDES:
        x = film.patient.middle + sign(side) * patient.half * 0.6
        y = patient.dome(side) - 0.1 + 0.05 * patient.breasts
        breast_shape = ball(grid, (x, y), (0.19, 0.13 + 0.03 * patient.breasts))
        film.added += 3.2 * patient.breasts * breast_shape * smooth_step(grid.y - y + 0.02, 0.2)


def _lateral(patient: Patient, grid: Grid) -> Film:
    y = grid.line
    front_edge, back_edge = patient.breastbone(y), patient.back(y)
    skin_thickness = 0.045 * patient.stout + 0.05 * patient.breasts * np.exp(-(((y - 0.56) / 0.14) ** 2))
    from_front = grid.x - (front_edge - skin_thickness)[:, None]
    from_back = (back_edge + 0.06 * patient.stout)[:, None] - grid.x
    body_depth = follow(y, ((0.0, 20.0), (0.1, 26.0), (0.2, 27.0), (0.4, 28.0), (0.7, 30.0), (1.0, 30.0)))
    body = body_depth[:, None] * bulge(from_front, 0.24) ** 0.8 * bulge(from_back, 0.26) ** 0.8
    # The arms are up, so that they cross the apices.
    body = np.maximum(
        body,
        17.0 * bulge(follow(grid.x, ((0.0, 0.1), (0.25, 0.17), (0.5, 0.2), (0.75, 0.18), (1.0, 0.08))) - grid.y, 0.12),
    )
    lungs = {}
    for side in SIDES:
        lung_base = patient.dome(side) + follow(
            (grid.line - patient.breastbone(np.array([0.7]))[0]) / 0.7,
            ((0.0, 0.035), (0.15, 0.008), (0.35, 0.0), (0.6, 0.035), (0.8, 0.1), (1.0, 0.19)),
        )
        lung_base += patient.rise.get(side, 0.0) * follow(grid.line, ((0.3, 0.0), (0.8, 1.0)))
        lung_field = bulge(grid.x - front_edge[:, None], 0.07) * bulge(back_edge[:, None] - grid.x, 0.09)
        lung_field *= bulge(grid.y - patient.apex + 0.02, 0.2) * smooth_step(lung_base[None, :] - grid.y, _EDGE)
        air_depth = 0.5 * lung_field * np.maximum(0.0, body - _WALL[View.LATERAL] * patient.stout)
        lungs[side] = Lung(front_edge, back_edge, lung_base, lung_field, air_depth, grid.zeros())
    film = Film(View.LATERAL, patient, grid, body, lungs, grid.zeros())
    _side_heart(film)
    return film


def _side_heart(film: Film) -> None:
    """Heart, arch of the aorta, hila, trachea and breastbone from the side."""
    patient, grid, heart = film.patient, film.grid, film.patient.heart
    dome_level = min(patient.domes.values())
    heart_size = 0.125 * heart
    tilted_x = grid.x + 0.35 * (grid.y - dome_level + 0.1)
    x, y = (
        (tilted_x - 0.375 - 0.3 * (heart_size - 0.125)) / heart_size,
        (grid.y - dome_level + 0.085 * heart) / (0.15 * heart),
    )
    heart_depth = 0.78 * np.maximum(0.0, 1.0 - np.abs(x) ** 2.4 - np.abs(y) ** 2.4) ** 0.5
    hilum = 0.35 * cloud(grid, (0.46, patient.carina + 0.05), (0.07, 0.08))
    for side in SIDES:
        film.fill(side, heart_depth + hilum)
    aortic_arch = np.array(
        [[0.0, 0.17, 0.42], [0.0, 0.03, 0.42], [0.0, -0.055, 0.47], [0.0, -0.075, 0.54], [0.0, -0.03, 0.61]]
    )
    aortic_arch = np.vstack([aortic_arch, [0.0, 0.1, 0.66]]) + np.array([0.0, patient.carina, 0.0])
    film.rod(spline(aortic_arch, 90), 0.06, 2.6)
    trachea = np.array([[0.0, -0.05, 0.47], [0.0, patient.carina * 0.5, 0.5], [0.0, patient.carina + 0.03, 0.545]])
    film.rod(spline(trachea, 80), 0.05, -4.0)
    film.added += 2.5 * cloud(grid, (0.545, patient.carina + 0.06), (0.04, 0.05))
    sternum_rows = np.linspace(0.19, 0.66, 90)
    sternum = np.stack(
        [np.zeros_like(sternum_rows), sternum_rows, follow(sternum_rows, ((0.19, 0.3), (0.35, 0.222), (0.66, 0.158)))],
        axis=-1,
    )
    film.rod(sternum, 0.024, 2.0 * patient.bones, 0.5)


def _vessels(film: Film, side: Side, rng: np.random.Generator) -> Array:
    """A tree of vessels from the hilum, thinner outwards."""
    patient, frontal = film.patient, film.view is View.FRONTAL
    stem_count = 10 if frontal else 11
    angles = np.linspace(-1.35, 1.5, stem_count) if frontal else np.linspace(-2.9, 2.4, stem_count)
    starts = np.zeros((stem_count, 2))
    widths = np.where(angles > 0, 0.017, 0.0125) * patient.vessels
    branches, branch_widths = [], []
    for length in (0.15, 0.12, 0.09, 0.06):
        branch_points, branch_width = _branches(rng, starts, angles, widths, length)
        branches.append(branch_points)
        branch_widths.append(branch_width)
        forks = rng.integers(_POINTS // 4, _POINTS, (len(starts), 3))
        start_index = np.arange(len(starts))[:, None]
        starts = branch_points[start_index, forks].reshape(-1, 2)
        widths = (branch_width[start_index, forks] * rng.uniform(0.6, 0.9, forks.shape)).ravel()
        angles = (angles[:, None] + rng.uniform(0.15, 0.75, forks.shape) * rng.choice((-1.0, 1.0), forks.shape)).ravel()
        retained = slice(0, 90)
        starts, widths, angles = starts[retained], widths[retained], angles[retained]
    tree, tree_widths = np.concatenate(branches), np.concatenate(branch_widths)
    hilum_level = patient.carina + (0.045 if side is Side.LEFT else 0.075)
    if frontal:
        tree = tree * [sign(side), 1.12] + [patient.middle + sign(side) * 0.105, hilum_level]
    else:
        tree = tree * [1.0, 1.1] + [0.545, hilum_level - 0.02]
    return stroke(film.grid, tree, tree_widths, tree_widths / CM * 1.15)


def _branches(
    rng: np.random.Generator, starts: Array, angles: Array, widths: Array, length: float
) -> tuple[Array, Array]:
    """Bent lines from `starts` in the direction of `angles`, and how wide they are along."""
    count = len(starts)
    t = np.linspace(0.0, 1.0, _POINTS)
    lengths = length * rng.uniform(0.6, 1.25, count)
    directions = (
        angles[:, None]
        + rng.normal(0.0, 0.5, count)[:, None] * (t - 0.3)
        + 0.25 * np.sin(6.0 * t + rng.uniform(0.0, 6.0, count)[:, None])
    )
    steps = np.stack([np.cos(directions), np.sin(directions)], axis=-1) * (lengths / _POINTS)[:, None, None]
    return starts[:, None, :] + np.cumsum(steps, axis=1), widths[:, None] * (1.0 - 0.5 * t)


def _abdomen(film: Film, rng: np.random.Generator) -> None:
    """Gas in the stomach and the bowel, below the left dome."""
    patient, grid, frontal = film.patient, film.grid, film.view is View.FRONTAL
    dome_height = patient.dome(Side.LEFT)
    bubble_size = rng.uniform(0.5, 1.2)
    x = patient.middle + 0.18 if frontal else 0.42
    bubble = ball(
        grid,
        (x + rng.normal(0.0, 0.015), dome_height + 0.03 + 0.03 * bubble_size),
        (0.055 * bubble_size, 0.026 * bubble_size),
    )
    film.added -= 6.0 * bubble**0.7
    for _ in range(5):
        gas_centre = (x + rng.uniform(-0.28, 0.12), min(0.98, dome_height + rng.uniform(0.16, 0.3)))
        film.added -= rng.uniform(0.5, 3.0) * ball(
            grid, gas_centre, (rng.uniform(0.015, 0.05), rng.uniform(0.012, 0.025))
        )
