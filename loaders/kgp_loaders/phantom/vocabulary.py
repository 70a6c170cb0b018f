"""Kinds and names of the concepts of a synthetic graph, put together from words for findings, sites and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FINDING, ANATOMY, DEVICE = "finding", "anatomy", "device"

# The most popular concepts, in order. The second is the one that reports deny most often.
POPULAR_CONCEPTS: Final = (
    (FINDING, "Hazy opacity"),
    (FINDING, "Acute abnormality of the thorax"),
    (FINDING, "Volume loss"),
    (FINDING, "Fluid collection"),
    (ANATOMY, "Cardiac silhouette"),
    (FINDING, "Air space filling"),
    (ANATOMY, "Pleural surface"),
    (DEVICE, "Venous line"),
)
_FINDINGS: Final = (
    "opacity", "consolidation", "effusion", "thickening", "nodule", "granuloma", "calcification", "scarring", "edema",
    "congestion", "hyperinflation", "air trapping", "cavity", "fibrosis", "fracture", "deformity", "enlargement",
    "displacement", "elevation", "blunting", "widening", "tortuosity", "air leak", "collapse", "mass", "haziness",
    "infiltrate", "plate-like density", "bronchial cuffing", "reticulation",
)  # fmt: skip
_SITES: Final = (
    "upper lobe", "middle lobe", "lower lobe", "lingula", "lung apex", "lung base", "hilum", "fissure", "bronchus",
    "pleura", "costophrenic angle", "hemidiaphragm", "mediastinum", "trachea", "carina", "aortic arch",
    "descending aorta", "atrium", "ventricle", "pulmonary artery", "rib", "clavicle", "vertebra", "chest wall",
)  # fmt: skip
_DEVICES: Final = (
    "venous line", "feeding tube", "drainage tube", "airway tube", "pacing lead", "pacing box", "port", "clip", "stent",
    "sternal wire", "artificial valve", "balloon pump", "chest drain", "infusion line", "screw", "plate",
)  # fmt: skip
_SEVERITIES: Final = ("", "minimal ", "mild ", "moderate ", "severe ", "extensive ")
_COURSES: Final = ("", "acute ", "chronic ", "recurrent ", "resolving ")
_SIDES: Final = ("", "left ", "right ", "bilateral ")
_STATES: Final = ("malpositioned ", "coiled ", "kinked ", "fractured ", "retained ", "newly placed ")
_ASPECTS: Final = ("anterior", "posterior", "lateral", "medial", "apical", "basal", "central", "peripheral")
_LINES: Final = ("", "second ")


def concept(number: int) -> tuple[str, str]:
    """Kind and name of a concept; all names differ."""
    if number < len(POPULAR_CONCEPTS):
        return POPULAR_CONCEPTS[number]
    block, column = divmod(number - len(POPULAR_CONCEPTS), 20)
    if column < 15:
        severity, course, side, finding, site = _choose(
            block * 15 + column, _SEVERITIES, _COURSES, _SIDES, _FINDINGS, _SITES
        )
        return FINDING, f"{severity}{course}{finding} of {side}{site}".capitalize()
    if column < 18:
        part_index = block * 3 + column - 15
        side, site, aspect = _choose(part_index, _SIDES, _SITES, _ASPECTS)
        return (
            ANATOMY,
            f"{side}{site}, {aspect} part {part_index // (len(_SIDES) * len(_SITES) * len(_ASPECTS)) + 1}".capitalize(),
        )
    state, line, side, device, site = _choose(block * 2 + column - 18, _STATES, _LINES, _SIDES, _DEVICES, _SITES)
    return DEVICE, f"{state}{line}{device} at {side}{site}".capitalize()


def _choose(number: int, *word_lists: Sequence[str]) -> list[str]:
    """The combination of that number; neighbouring numbers differ in most places."""
    combination_count = 1
    for choices in word_lists:
        combination_count *= len(choices)
    number = number * 7_919 % combination_count  # coprime to every list length: each combination comes once
    chosen = []
    for choices in reversed(word_lists):
        number, choice_index = divmod(number, len(choices))
        chosen.append(choices[choice_index])
    return chosen[::-1]
