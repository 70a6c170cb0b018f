"""Findings drawn into a chest: each takes air out of a lung, or adds to what the rays go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from kgp_loaders.phantom.film import Film
from kgp_loaders.phantom.findings import Kind, RadiographFinding, Severity, Side, View, Zone
from kgp_loaders.phantom.patient import SIDES, Patient, sign
from kgp_loaders.phantom.raster import Array, ball, cloud, mottle, smooth_step, spline

_DEGREE: Final = {Severity.SMALL: 0, Severity.MODERATE: 1, Severity.LARGE: 2}
_ROUND: Final = 0.03  # the corner of a collapsed lung
# Share of the way from the apex to the dome, share of half the chest from the midline, and depth, of a zone's middle.
_ZONE_CENTRES: Final = {
    Zone.UPPER: (0.27, 0.5, 0.5),
    Zone.MIDDLE: (0.62, 0.55, 0.36),
    Zone.LOWER: (0.84, 0.6, 0.66),
    Zone.NONE: (0.55, 0.5, 0.5),
}


def affected_sides(item: RadiographFinding) -> tuple[Side, ...]:
    """The sides of a finding; both where none is said."""
    return (item.side,) if item.side in SIDES else SIDES


def grown(item: RadiographFinding, small: float, moderate: float, large: float) -> float:
    """The size for how severe it is."""
    return (small, moderate, large)[_DEGREE[item.severity]]


def altered_build(patient: Patient, findings: tuple[RadiographFinding, ...]) -> Patient:
    """The patient's build with the findings that change it: the heart, the spine, the diaphragm, the lungs' size."""
    for finding in findings:
        match finding.kind:
            case Kind.CARDIOMEGALY:
                patient = replace(patient, heart=patient.heart * grown(finding, 1.22, 1.38, 1.55))
            case Kind.SCOLIOSIS:
                direction = 1.0 if patient.lean > 0 else -1.0
                patient = replace(patient, bend=direction * grown(finding, 0.025, 0.04, 0.06))
            case Kind.DIAPHRAGM:
                rises = dict.fromkeys(affected_sides(finding), grown(finding, 0.05, 0.08, 0.12))
                patient = replace(patient, rise={**patient.rise, **rises})
            case Kind.EMPHYSEMA:
                dome_drop = grown(finding, 0.03, 0.045, 0.06)
                patient = replace(
                    patient,
                    domes={side: dome + dome_drop for side, dome in patient.domes.items()},
                    angle=patient.angle * 0.45,
                    heart=patient.heart * 0.8,
                    vessels=patient.vessels * 0.55,
                )
            case _:
                pass
    return patient


def finding_position(film: Film, side: Side, zone: Zone, rng: np.random.Generator, spread: float = 1.0) -> Array:
    """A place in that zone, (x, y, z), a little off its middle."""
    patient, (downward, outward, depth) = film.patient, _ZONE_CENTRES[zone]
    jitter = rng.uniform(-1.0, 1.0, 3) * spread
    y = patient.apex + (downward + 0.06 * jitter[0]) * (patient.dome(side) - patient.apex)
    wall_distance = float(patient.wall(np.array([y]), side)[0])
    return np.array([sign(side) * wall_distance * (outward + 0.12 * jitter[1]), y, depth + 0.05 * jitter[2]])


def film_position(film: Film, point: Array) -> tuple[float, float]:
    """Where a place falls in the picture."""
    x, y = film.patient.project(point, film.view)
    return float(x), float(y)


def _outward(film: Film, side: Side) -> Array:
    """How far each point is inside the chest's side wall, or its back in a lateral picture."""
    lung = film.lungs[side]
    if film.view is View.FRONTAL:
        return sign(side) * (lung.outer[:, None] - film.grid.x)
    return np.asarray(film.patient.back(film.grid.line)[:, None] - film.grid.x)


def _effusion(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """Fluid with a meniscus: it stands higher at the wall."""
    patient, grid = film.patient, film.grid
    for side in affected_sides(finding):
        fluid_height = grown(finding, 0.055, 0.15, 0.3) * rng.uniform(0.9, 1.1)
        wall_distance = _outward(film, side)
        meniscus = (0.03 + 0.35 * fluid_height) * np.exp(-np.maximum(wall_distance, 0.0) / 0.055)
        fluid_level = patient.foot(side) - fluid_height - meniscus
        below_level = smooth_step(grid.y - fluid_level, 0.025)
        film.fill(side, below_level)
        film.added += 2.0 * below_level * film.lungs[side].field


def _pneumothorax(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """Air next to a lung that has drawn back: a thin line, and no vessels beyond it."""
    patient, grid = film.patient, film.grid
    base_width = grown(finding, 0.028, 0.05, 0.1)
    for side in affected_sides(finding):
        lung = film.lungs[side]
        height_share = np.clip((grid.y - patient.apex) / (patient.foot(side) - patient.apex), 0.0, 1.0)
        local_width = base_width * (1.25 - 0.8 * height_share)
        top_level = patient.apex + 1.5 * base_width
        edges = np.stack([_outward(film, side) - local_width, (grid.y - top_level + 0.0 * grid.x) * 0.9])
        edge_distance = -_ROUND * np.log(
            np.exp(-np.clip(edges / _ROUND, -50.0, 50.0)).sum(axis=0)
        )  # the lesser, rounded
        outside = smooth_step(-edge_distance, 0.006)
        in_field = np.clip(lung.field * 1.4, 0.0, 1.0)
        lung.vessels = lung.vessels * (1.0 - outside)
        lung.air = lung.air * (1.0 + 0.16 * outside)
        film.fill(side, 1.5 * base_width * (1.0 - outside))  # a collapsed lung is denser
        film.added += 1.1 * np.exp(-((edge_distance / 0.0035) ** 2)) * in_field


def _consolidation(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """Air spaces filled in a patch with ragged edges, air left in the bronchi."""
    patch_size = grown(finding, 0.055, 0.085, 0.12)
    for side in affected_sides(finding):
        position = finding_position(film, side, finding.zone, rng, 0.6)
        centre = film_position(film, position)
        patch = cloud(film.grid, centre, (patch_size * rng.uniform(1.0, 1.3), patch_size * rng.uniform(0.8, 1.1)))
        ragged = patch * (1.15 + 0.3 * mottle(rng, film.grid, 14) + 0.2 * mottle(rng, film.grid, 30))
        film.fill(side, 0.66 * smooth_step(ragged - 0.5, 0.9))
        for _ in range(4):  # air in the bronchi
            angle, length = rng.uniform(-0.6, 0.6), patch_size * rng.uniform(0.7, 1.1)
            start_point = position - np.array([sign(side) * 0.5 * length, 0.4 * length, 0.0])
            end_point = start_point + np.array(
                [sign(side) * length * np.cos(angle), length * (0.6 + np.sin(angle)), 0.02]
            )
            bend_point = (start_point + end_point) / 2 + rng.normal(0, 0.006, 3)
            film.rod(spline(np.stack([start_point, bend_point, end_point]), 40), 0.01, -1.6)


def _atelectasis(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """Plates of collapsed lung: bands across the base."""
    for side in affected_sides(finding):
        for band_number in range(int(grown(finding, 1, 2, 3))):
            centre = finding_position(film, side, Zone.LOWER, rng, 0.5) - [0.0, 0.035 * band_number, 0.0]
            length = grown(finding, 0.09, 0.12, 0.15) * rng.uniform(0.85, 1.1)
            half_axis = np.array([length * 0.5, rng.uniform(-0.02, 0.02), 0.5 * length])
            bend_offset = np.array([0.0, rng.uniform(-0.008, 0.008), 0.0])
            band = spline(np.stack([centre - half_axis, centre + bend_offset, centre + half_axis]), 90)
            film.rod(band, grown(finding, 0.009, 0.011, 0.013), 2.6)


def _round(
    film: Film, finding: RadiographFinding, rng: np.random.Generator, radius: float, depth: float, lobes: int
) -> None:
    for side in affected_sides(finding):
        x, y = film_position(film, finding_position(film, side, finding.zone, rng))
        for lobe in range(lobes):
            angle, offset = rng.uniform(0.0, 2 * np.pi), 0.0 if lobe == 0 else 0.45 * radius
            centre = (x + offset * float(np.cos(angle)), y + offset * float(np.sin(angle)))
            lobe_radius = radius if lobe == 0 else radius * float(rng.uniform(0.55, 0.8))
            lobe_depth = ball(film.grid, centre, (lobe_radius, lobe_radius * float(rng.uniform(0.88, 1.1))))
            film.fill(side, 0.3 * lobe_depth)
            film.added += depth / lobes * lobe_depth


def _nodule(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    _round(film, finding, rng, grown(finding, 0.018, 0.024, 0.031), 1.9, 1)


def _mass(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    _round(film, finding, rng, grown(finding, 0.048, 0.062, 0.08), 3.6, 4)


def _granuloma(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    _round(film, finding, rng, grown(finding, 0.009, 0.011, 0.014), 6.0, 1)


def _edema(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """Haze around the hila, wide vessels, and Kerley's short lines at the sides of the bases."""
    patient, strength = film.patient, grown(finding, 0.3, 0.45, 0.62)
    for side in SIDES:
        hilum = np.array([sign(side) * 0.12, patient.carina + 0.1, 0.55])
        haze = cloud(film.grid, film_position(film, hilum), (0.17, 0.24))
        film.fill(side, 0.85 * strength * haze * (1.0 + 0.3 * mottle(rng, film.grid, 18)) + 0.15 * strength)
        film.lungs[side].vessels *= 1.0 + 0.4 * strength
        for line_number in range(9):
            y = patient.foot(side) - 0.05 - 0.014 * line_number
            line_end = sign(side) * (float(patient.wall(np.array([y]), side)[0]) - 0.004)
            kerley_line = np.array(
                [[line_end, y, 0.7], [line_end - sign(side) * rng.uniform(0.02, 0.034), y + 0.003, 0.7]]
            )
            film.rod(spline(kerley_line, 20), 0.004, 2.4 * strength)


def _emphysema(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """More air, unevenly; the build has the rest."""
    for side in SIDES:
        bullae = np.maximum(0.0, mottle(rng, film.grid, 7))
        film.lungs[side].air *= 1.0 + grown(finding, 0.05, 0.08, 0.12) + 0.05 * bullae


def _interstitial(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """A net of fine lines, denser at the bases."""
    strength = grown(finding, 0.6, 1.0, 1.5)
    for side in affected_sides(finding):
        network = 1.0 - np.minimum(np.abs(mottle(rng, film.grid, 52)), np.abs(mottle(rng, film.grid, 44))) * 2.2
        base_weight = 0.45 + 0.55 * smooth_step(film.grid.y - film.patient.carina - 0.05, 0.3)
        film.added += strength * np.maximum(0.0, network) * base_weight * film.lungs[side].field


def _thickening(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """A cap on the apex, running down the side."""
    thickness = grown(finding, 0.016, 0.028, 0.042)
    for side in affected_sides(finding):
        apex_distance = film.grid.y - film.patient.apex
        edge_distance = np.minimum(
            apex_distance * 0.85, _outward(film, side) + np.maximum(0.0, apex_distance - 0.12) * 0.5
        )
        film.fill(side, 0.95 * smooth_step(thickness * (1.0 + 0.2 * mottle(rng, film.grid, 12)) - edge_distance, 0.01))


def _fracture(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """A rib broken at the side: a gap, its ends apart, and swelling under it."""
    patient = film.patient
    for side in affected_sides(finding):
        for rib_number in (6, 5, 7)[: int(grown(finding, 1, 1, 2))]:
            break_turn = rng.uniform(0.42, 0.5)
            gap_points = patient.rib(rib_number, side, np.linspace(break_turn - 0.012, break_turn + 0.012, 30))
            film.rod(gap_points, 0.021, -1.6 * patient.bones, 0.45)
            displacement = grown(finding, 0.008, 0.012, 0.018)
            for direction in (-1, 1):
                fragment = patient.rib(rib_number, side, np.linspace(break_turn, break_turn + 0.09 * direction, 60))
                film.rod(fragment, 0.023, -1.2 * patient.bones, 0.45)
                film.rod(fragment + np.array([0.0, direction * displacement, 0.0]), 0.025, 2.4 * patient.bones, 0.45)
            film.fill(side, 0.5 * cloud(film.grid, film_position(film, gap_points[15]), (0.025, 0.04)))


def _hilum(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    radius = grown(finding, 0.036, 0.046, 0.06)
    for side in affected_sides(finding):
        centre = np.array([sign(side) * 0.105, film.patient.carina + (0.05 if side is Side.LEFT else 0.08), 0.55])
        for _ in range(3):
            x, y = film_position(film, centre + rng.normal(0.0, 0.012, 3))
            film.added += 1.9 * ball(film.grid, (x, y), (radius * 0.8, radius))


def _hernia(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """A part of the stomach behind the heart: a round shadow with air over fluid."""
    radius = grown(finding, 0.05, 0.065, 0.085)
    centre = np.array([0.035, film.patient.dome(Side.LEFT) - 0.75 * radius, 0.63])
    x, y = film_position(film, centre)
    wall_depth, hollow_depth = (
        ball(film.grid, (x, y), (radius, radius)),
        ball(film.grid, (x, y), (radius * 0.86, radius * 0.86)),
    )
    film.added += 1.6 * wall_depth**0.5 - 4.5 * hollow_depth * smooth_step(y + 0.01 - film.grid.y, 0.006)


def _none(film: Film, finding: RadiographFinding, rng: np.random.Generator) -> None:
    """The build has it all."""


Draw = Callable[[Film, RadiographFinding, np.random.Generator], None]

FINDINGS: Final[dict[Kind, Draw]] = {
    Kind.CARDIOMEGALY: _none,
    Kind.EFFUSION: _effusion,
    Kind.PNEUMOTHORAX: _pneumothorax,
    Kind.CONSOLIDATION: _consolidation,
    Kind.ATELECTASIS: _atelectasis,
    Kind.NODULE: _nodule,
    Kind.MASS: _mass,
    Kind.EDEMA: _edema,
    Kind.EMPHYSEMA: _emphysema,
    Kind.INTERSTITIAL: _interstitial,
    Kind.GRANULOMA: _granuloma,
    Kind.THICKENING: _thickening,
    Kind.FRACTURE: _fracture,
    Kind.DIAPHRAGM: _none,
    Kind.SCOLIOSIS: _none,
    Kind.HILUM: _hilum,
    Kind.HERNIA: _hernia,
}
