"""The graphs of one study next to each other (VLM-KG, Figure 2): the reference, then each system's, compared with it.

The paper's colours: what is right is black, what is wrong red. What is missing, which the paper does not draw, is grey
and dashed. Both forms, HTML and PNG, draw the same layout.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Any, Final

from benchmarks.generation.figure_layout import LINE, Layout, LayoutEdge, TextBox, Wire, breadth, lay_out, wrapped
from kgplatform.extras import missing
from kgplatform.triplets.metrics import Counts, Key, count, exact_key, keyed
from kgplatform.triplets.text import Triplet

MAX_TRIPLETS: Final = 60  # triplets of a panel that are drawn; more would be unreadable
MARGIN: Final = 16.0  # pixels around a panel
HEAD: Final = 56.0  # pixels above a graph, for its title
LEGEND: Final = 56.0  # pixels above all panels, of a PNG
SCALE: Final = 2  # pixels of a PNG for one of the layout
MAX_SIDE: Final = 16_000  # pixels of a side of a PNG


class MatchState(StrEnum):
    """What a triplet, or an entity, of a system is, in comparison with the reference."""

    RIGHT = "correct"
    WRONG = "wrong"
    MISSING = "missing"


COLOURS: Final = {MatchState.RIGHT: "#000000", MatchState.WRONG: "#d00000", MatchState.MISSING: "#767676"}
WIDTHS: Final = {MatchState.RIGHT: 1.2, MatchState.WRONG: 1.8, MatchState.MISSING: 1.2}


@dataclass(frozen=True)
class Panel:
    """A graph to be drawn. Counts are None for the reference; `left_out` triplets are counted, but not drawn."""

    name: str
    edges: tuple[LayoutEdge, ...]
    states: tuple[MatchState, ...]  # of the edges
    texts: Mapping[str, str]  # of the entities
    entities: Mapping[str, MatchState]
    counts: Counts | None
    left_out: int

    @property
    def caption(self) -> str:
        """What stands under the name."""
        if self.counts is None:
            description = f"{len(self.edges) + self.left_out} triplets"
        else:
            right_count, predicted_count, reference_count = self.counts
            description = (
                f"P {self.counts.precision:.2f}   R {self.counts.recall:.2f}   F1 {self.counts.f1:.2f}   "
                f"({right_count} correct, {predicted_count - right_count} wrong, "
                f"{reference_count - right_count} missing)"
            )
        return f"{description}; {self.left_out} not drawn" if self.left_out else description


def compare(
    reference: Sequence[Triplet], systems: Mapping[str, Sequence[Triplet]], key: Key = exact_key
) -> list[Panel]:
    """The panels of a study. Triplets are right as `metrics.count` has it, with the same `key`; entities of one key are
    one, with the text that the system has for them.
    """
    reference_keyed = keyed(reference, key)
    panels = [_panel("reference", dict.fromkeys(_keyed(reference, key), MatchState.RIGHT), reference, key, None)]
    for system_name, predicted in systems.items():
        predicted_keyed = keyed(predicted, key)
        states = {
            triplet: MatchState.RIGHT if triplet in predicted_keyed else MatchState.MISSING
            for triplet in _keyed(reference, key)
        }
        states |= {triplet: MatchState.WRONG for triplet in _keyed(predicted, key) if triplet not in reference_keyed}
        panels.append(_panel(system_name, states, [*predicted, *reference], key, count(predicted, reference, key)))
    return panels


def _keyed(triplets: Iterable[Triplet], key: Key) -> list[Triplet]:
    """As `metrics.keyed`, in order."""
    return list(dict.fromkeys(Triplet(key(head), relation, key(tail)) for head, relation, tail in triplets))


def _panel(
    panel_name: str, states: Mapping[Triplet, MatchState], worded: Iterable[Triplet], key: Key, counts: Counts | None
) -> Panel:
    texts: dict[str, str] = {}
    for head, _, tail in worded:
        texts.setdefault(key(head), head)
        texts.setdefault(key(tail), tail)
    displayed = dict(list(states.items())[:MAX_TRIPLETS])
    return Panel(
        name=panel_name,
        edges=tuple(LayoutEdge(head, str(relation), tail) for head, relation, tail in displayed),
        states=tuple(displayed.values()),
        texts=texts,
        entities=_entity_states(states),
        counts=counts,
        left_out=len(states) - len(displayed),
    )


def _entity_states(states: Mapping[Triplet, MatchState]) -> dict[str, MatchState]:
    """An entity is right when the system and the reference both have it, in any triplets."""
    states_by_entity: dict[str, set[MatchState]] = {}
    for (head, _, tail), state in states.items():
        for entity in (head, tail):
            states_by_entity.setdefault(entity, set()).add(state)
    return {
        entity: entity_states.pop() if len(entity_states) == 1 else MatchState.RIGHT
        for entity, entity_states in states_by_entity.items()
    }


# HTML

_STYLE: Final = """
body { margin: 16px; font: 14px sans-serif; color: #000; background: #fff; }
h1 { font-size: 18px; margin: 0 0 8px; }
.legend, .panels { display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: flex-start; }
.legend { list-style: none; margin: 0 0 16px; padding: 0; }
.legend svg { vertical-align: middle; margin-right: 6px; }
figure { margin: 0; padding: 12px 16px; border: 1px solid #ccc; border-radius: 6px; }
figcaption { margin-bottom: 12px; }
figcaption b { display: block; font-size: 15px; }
figcaption span { white-space: pre-wrap; }
text { font-size: 12px; text-anchor: middle; dominant-baseline: central; }
.name { font-size: 10.5px; font-style: italic; }
rect, path { fill: none; }
"""


def to_html(title: str, panels: Sequence[Panel]) -> str:
    """One page alone: drawings in it, no scripts, nothing loaded. All text is escaped."""
    legend = "".join(
        f'<li><svg width="34" height="10"><path d="M0 5H34" {_stroke(state)}/></svg>{state.value}</li>'
        for state in MatchState
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        f'<ul class="legend">{legend}</ul>\n<div class="panels">\n'
        + "".join(map(_figure, panels))
        + "</div>\n</body>\n</html>\n"
    )


def _figure(panel: Panel) -> str:
    layout = lay_out(panel.edges, panel.texts)
    caption = f"<figcaption><b>{_text(panel.name)}</b><span>{escape(panel.caption)}</span></figcaption>"
    width, height = layout.width + 4, layout.height + 4
    size_attributes = f'width="{width:.0f}" height="{height:.0f}" viewBox="-2 -2 {width:.0f} {height:.0f}"'
    drawing = f'<svg {size_attributes} role="img" aria-label="{_text(panel.name)}">\n{_svg(panel, layout)}</svg>'
    return f"<figure>{caption}\n{drawing}</figure>\n"


def _svg(panel: Panel, layout: Layout) -> str:
    """The drawing's elements, one a line."""
    elements = []
    for edge, edge_line, state in zip(panel.edges, layout.lines, panel.states, strict=True):
        tooltip = f"{panel.texts[edge.head]}, {edge.name}, {panel.texts[edge.tail]} ({state.value})"
        path_data = "".join(map(_path, edge_line.wires))
        tip_offset = -8 if edge_line.rightwards else 8
        tip_points = (
            f"{edge_line.x:.1f},{edge_line.y:.1f} {edge_line.x + tip_offset:.1f},{edge_line.y - 4:.1f} "
            f"{edge_line.x + tip_offset:.1f},{edge_line.y + 4:.1f}"
        )
        elements.append(
            f'<g class="{state.value}"><title>{_text(tooltip)}</title><path d="{path_data}" {_stroke(state)}/>'
            f'<polygon points="{tip_points}" fill="{COLOURS[state]}"/>{_label(edge_line.name, state, "name")}</g>\n'
        )
    for entity, box in layout.boxes.items():
        state = panel.entities[entity]
        rectangle = f'x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5"'
        elements.append(
            f'<g class="{state.value}"><rect {rectangle} {_stroke(state)}/>{_label(box, state, "entity")}</g>\n'
        )
    return "".join(elements)


def _path(wire: Wire) -> str:
    x0, x1, x2, x3, y0, y1 = wire
    middle = (x1 + x2) / 2
    return f"M{x0:.1f} {y0:.1f}H{x1:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x2:.1f} {y1:.1f}H{x3:.1f}"


def _label(box: TextBox, state: MatchState, kind: str) -> str:
    return "".join(
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" fill="{COLOURS[state]}">{escape(text_line)}</text>'
        for text_line, x, y in _lines(box)
    )


def _lines(box: TextBox) -> list[tuple[str, float, float]]:
    """A box's lines of text, each with its middle."""
    first_top = box.top + (box.height - LINE * len(box.lines)) / 2
    return [
        (text_line, box.left + box.width / 2, first_top + LINE * (row_index + 0.5))
        for row_index, text_line in enumerate(box.lines)
    ]


def _stroke(state: MatchState) -> str:
    dashes = ' stroke-dasharray="5 3"' if state is MatchState.MISSING else ""
    return f'stroke="{COLOURS[state]}" stroke-width="{WIDTHS[state]}"{dashes}'


def _text(raw_text: str) -> str:
    """The value as text of a page, without unprintable characters."""
    return escape(" ".join(wrapped(raw_text)))


# PNG


def to_png(title: str, panels: Sequence[Panel]) -> bytes:
    """The same as a picture, the panels in a row. Raises `SettingsError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise missing("matplotlib", "plot") from None
    layouts = [lay_out(panel.edges, panel.texts) for panel in panels]
    width, height = _size(title, panels, layouts)
    scale = min(SCALE, MAX_SIDE / width, MAX_SIDE / height)
    figure = Figure(figsize=(width / 72, height / 72), dpi=72 * scale)  # a point is a pixel of the layout
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    _write(axes, " ".join(wrapped(title)), MARGIN, 18, 15, ha="left", weight="bold")
    _draw_legend(axes)
    left_x = 0.0
    for panel, layout in zip(panels, layouts, strict=True):
        _draw(axes, panel, layout, left_x)
        left_x += _panel_width(panel, layout)
        if panel is not panels[-1]:
            axes.plot([left_x, left_x], [LEGEND, height - MARGIN], color="#cccccc", linewidth=1)
    png_buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box
        figure.savefig(png_buffer, format="png", dpi=72 * scale, metadata={"Software": None})
    return png_buffer.getvalue()


def _panel_width(panel: Panel, layout: Layout) -> float:
    text_widths = (breadth(panel.caption) * 0.95, breadth(" ".join(wrapped(panel.name))) * 1.2)
    return max(layout.width, *text_widths) + 2 * MARGIN


def _size(title: str, panels: Sequence[Panel], layouts: Sequence[Layout]) -> tuple[int, int]:
    """Width and height of the picture, before scaling."""
    total_width = sum(_panel_width(panel, layout) for panel, layout in zip(panels, layouts, strict=True))
    max_height = max((layout.height for layout in layouts), default=0.0)
    return round(max(total_width, 1.3 * breadth(title) + 2 * MARGIN, 360)), round(LEGEND + HEAD + max_height + MARGIN)


def _write(axes: Any, label_text: str, x: float, y: float, font_size: float, **text_options: object) -> None:
    axes.text(x, y, label_text, fontsize=font_size, va="center", parse_math=False, **text_options)


def _line_style(state: MatchState) -> dict[str, Any]:
    return {
        "edgecolor": COLOURS[state], "linewidth": WIDTHS[state], "facecolor": "none",
        "linestyle": (0, (4, 2.5)) if state is MatchState.MISSING else "solid",
    }  # fmt: skip


def _draw_legend(axes: Any) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left_x = MARGIN
    for state in MatchState:
        axes.add_patch(PathPatch(Path([(left_x, 42), (left_x + 34, 42)]), **_line_style(state)))
        _write(axes, state.value, left_x + 41, 42, 12, ha="left")
        left_x += 41 + breadth(state.value) + 24


def _draw(axes: Any, panel: Panel, layout: Layout, left_x: float) -> None:
    """Draw a panel whose left side is at `left_x`."""
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon

    _write(axes, " ".join(wrapped(panel.name)), left_x + MARGIN, LEGEND + 12, 13, ha="left", weight="bold")
    _write(axes, panel.caption, left_x + MARGIN, LEGEND + 32, 11, ha="left")
    left_x, top_y = left_x + MARGIN, LEGEND + HEAD
    for edge_line, state in zip(layout.lines, panel.states, strict=True):
        for wire in edge_line.wires:
            axes.add_patch(PathPatch(_curve(wire, left_x, top_y), **_line_style(state)))
        x, y, tip_offset = left_x + edge_line.x, top_y + edge_line.y, -8 if edge_line.rightwards else 8
        tip_points = [(x, y), (x + tip_offset, y - 4), (x + tip_offset, y + 4)]
        axes.add_patch(Polygon(tip_points, facecolor=COLOURS[state], linewidth=0))
        for text_line, x, y in _lines(edge_line.name):
            _write(axes, text_line, left_x + x, top_y + y, 10, ha="center", style="italic", color=COLOURS[state])
    for entity, box in layout.boxes.items():
        state = panel.entities[entity]
        box_style = "round,pad=0,rounding_size=5"
        corner = (left_x + box.left, top_y + box.top)
        axes.add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle=box_style, **_line_style(state)))
        for text_line, x, y in _lines(box):
            _write(axes, text_line, left_x + x, top_y + y, 11, ha="center", color=COLOURS[state])


def _curve(wire: Wire, left_x: float, top_y: float) -> Any:
    """The wire as a path of matplotlib."""
    from matplotlib.path import Path

    x0, x1, x2, x3, y0, y1 = wire
    middle = (x1 + x2) / 2
    points = [(x0, y0), (x1, y0), (middle, y0), (middle, y1), (x2, y1), (x3, y1)]
    path_codes = [Path.MOVETO, Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
    return Path([(left_x + x, top_y + y) for x, y in points], path_codes)
