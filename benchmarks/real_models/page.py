"""A page of radiographs, the indexers' codes, and what each model says: one HTML file, for the user's machine alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from benchmarks.real_models.outputs import Outputs, Shown
from kgplatform.files import atomic_file
from kgplatform.radiograph import read_radiograph
from kgplatform.triplets.codes import code_triplets
from kgplatform.triplets.text import Triplet

SIDE: Final = 320  # pixels of a radiograph on the page
STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f24 }
article { display: grid; grid-template-columns: 320px 1fr; gap: 1.5rem; padding: 1.5rem 0 }
article { border-top: 1px solid #d0d7de }
img { width: 320px; background: #000 }
h2 { font-size: 1rem; margin: 0 } dt { font-weight: 600; margin-top: .6rem } dd { margin: 0 }
.right { color: #116329 } .right::after { content: " ✓" }
table { border-collapse: collapse } td, th { padding: .25rem .9rem .25rem 0; text-align: left }
"""


def write_page(path: Path, outputs: Outputs, seconds: Mapping[str, float]) -> None:
    """Write the page. Triplets that the codes also give are marked."""
    rows = "".join(map(_article, outputs.shown))
    text = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Models of real radiographs</title><style>{STYLE}</style>
<h1>What the models say of {len(outputs.shown)} held-out radiographs</h1>
<p>OpenI's radiographs are believed to be CC BY-NC-ND: keep this page on this machine. A guess is no diagnosis.</p>
{_figures(outputs.figures)}
<p>Training: {escape(", ".join(f"{name} {value / 60:.0f} min" for name, value in seconds.items()))}.</p>
{rows}
</html>
"""
    with atomic_file(path) as staged:
        staged.write_text(text, encoding="utf-8")


def _figures(figures: Mapping[str, Any]) -> str:
    rows = [("held-out studies", f"{figures['held-out studies']:,}")]
    for name, figure in figures.items():
        if name.startswith("triplets"):
            interval = figure["F1"]
            bounds = f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
            rows.append((f"{name}, against the indexers' codes", f"F1 {bounds}, {figure['studies']} studies"))
        elif name.startswith("findings") and "macro AUC" in figure:
            low, high = figure["macro AUC, low"], figure["macro AUC, high"]
            auc = f"macro AUC {figure['macro AUC']:.3f} [{low:.3f}, {high:.3f}]"
            rows.append(
                (name, f"{auc} over {figure['links']} findings with stance, {figure['images']} validation images")
            )
        elif name.startswith("retrieval"):
            shares = f"{figure['R@10']:.1%} (by chance {figure['by chance']:.1%})"
            rows.append((name, f"{shares} of reports have their radiograph in the first ten of {figure['images']:,}"))
    cells = "".join(f"<tr><th scope=row>{escape(name)}<td>{escape(text)}" for name, text in rows)
    return f"<table>{cells}</table>"


def _article(shown: Shown) -> str:
    stated = set(code_triplets(shown.codes))
    links = ", ".join(f"{escape(link.link.name)} {link.probability:.2f}" for link in shown.links)
    entries = (
        ("The indexers' codes", escape("; ".join(shown.codes))),
        ("Findings, encoder and graph", links),
        ("Triplets from the image alone", _triplets(shown.from_image, stated)),
        ("Triplets from report and image", _triplets(shown.from_both, stated)),
        ("Search by its report", f"this radiograph is number {shown.rank}"),
    )
    definitions = "".join(f"<dt>{name}<dd>{text or 'none'}" for name, text in entries)
    study = escape(shown.study)
    return (
        f'<article><img src="data:image/jpeg;base64,{_jpeg(shown.image)}" alt="radiograph of study {study}">'
        f"<div><h2>Study {study}</h2><dl>{definitions}</dl></div></article>"
    )


def _triplets(triplets: Sequence[Triplet], stated: set[Triplet]) -> str:
    return ", ".join(
        f"<span{' class=right' if triplet in stated else ''}>{escape(' '.join(triplet))}</span>" for triplet in triplets
    )


def _jpeg(path: Path) -> str:
    picture = read_radiograph(path, SIDE)
    picture.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    picture.convert("L").save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
