"""Draws docs/images/phantom-contact-sheet.png: synthetic radiographs, one of each finding, and some normal ones.

python docs/contact_sheet.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from kgp_loaders.phantom.findings import Kind, RadiographFinding, Severity, Side, View, Zone
from kgp_loaders.phantom.radiograph import render_radiograph
from kgp_loaders.phantom.studies import DEVICES

OUT = Path(__file__).parent / "images" / "phantom-contact-sheet.png"
SIZE, COLUMNS, CAPTION = 224, 7, 14
SIDED = {
    Kind.EFFUSION: Side.RIGHT, Kind.PNEUMOTHORAX: Side.LEFT, Kind.CONSOLIDATION: Side.RIGHT,
    Kind.ATELECTASIS: Side.LEFT,
    Kind.NODULE: Side.LEFT, Kind.MASS: Side.RIGHT, Kind.GRANULOMA: Side.LEFT, Kind.THICKENING: Side.RIGHT,
    Kind.FRACTURE: Side.LEFT, Kind.DIAPHRAGM: Side.RIGHT, Kind.HILUM: Side.RIGHT, Kind.CENTRAL_LINE: Side.RIGHT,
    Kind.PACEMAKER: Side.LEFT, Kind.CHEST_TUBE: Side.RIGHT, Kind.PORT: Side.RIGHT, Kind.INTERSTITIAL: Side.BOTH,
}  # fmt: skip
ZONES = {Kind.CONSOLIDATION: Zone.LOWER, Kind.NODULE: Zone.UPPER, Kind.MASS: Zone.MIDDLE, Kind.GRANULOMA: Zone.UPPER}


def items() -> list[tuple[View, list[RadiographFinding], str]]:
    """What is drawn, with its caption."""
    figures: list[tuple[View, list[RadiographFinding], str]] = [(View.FRONTAL, [], "normal")] * 2
    for kind in Kind:
        severity = Severity.MODERATE if kind in DEVICES else Severity.LARGE
        finding = RadiographFinding(kind, SIDED.get(kind, Side.NONE), ZONES.get(kind, Zone.NONE), severity)
        figures.append((View.FRONTAL, [finding], f"{finding.side.value} {finding.zone.value} {kind.value}".strip()))
    figures.append((View.LATERAL, [], "lateral, normal"))
    figures.append(
        (View.LATERAL, [RadiographFinding(Kind.EFFUSION, Side.RIGHT, Zone.NONE, Severity.LARGE)], "lateral, effusion")
    )
    return figures


def main() -> None:
    """Draw and store the sheet."""
    figures = items()
    rows = -(-len(figures) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * (SIZE + 4) + 4, rows * (SIZE + CAPTION + 4) + 4), 255)
    pen = ImageDraw.Draw(sheet)
    for number, (view, findings, caption) in enumerate(figures):
        row, column = divmod(number, COLUMNS)
        left, top = 4 + column * (SIZE + 4), 4 + row * (SIZE + CAPTION + 4)
        pixels = render_radiograph(view, findings, np.random.default_rng(100 + number), SIZE)
        sheet.paste(Image.fromarray(pixels), (left, top))
        pen.text((left + 2, top + SIZE + 1), " ".join(caption.split()), fill=0)
    sheet.save(OUT, optimize=True)
    print(f"wrote {OUT.name}, {OUT.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
