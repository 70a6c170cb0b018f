"""A question's subgraph as a picture (SVG): the concepts that it names on the left, what is joined to them next to
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from kgplatform.files import MARK, has_program_mark, replacing
from kgplatform.vqa.live import SubgraphEdge, SubgraphNode

ROW: Final = 22  # pixels of a line
WIDTH: Final = 900
LEFT, RIGHT = 230, 560  # where the columns begin
MAX_NAME_LENGTH: Final = 44  # characters of a name
COLOURS: Final = {"POSITIVE": "#1b7f4b", "NEGATIVE": "#b3261e", "UNCERTAIN": "#a8760a"}
PLAIN: Final = "#4a5b6c"


def draw_subgraph(question: str, named: Sequence[SubgraphNode], edges: Sequence[SubgraphEdge]) -> str:
    """The SVG's text. Edges between two named concepts are drawn on the left of them."""
    other_nodes = list(dict.fromkeys(node for edge in edges for node in (edge.head, edge.tail) if node not in named))
    row_count = max(len(other_nodes), len(named), 1)
    row_gap = row_count * ROW / max(len(named), 1)
    positions = {node: (LEFT, 70 + row_gap * (index + 0.5)) for index, node in enumerate(named)}
    positions |= {node: (RIGHT, 70 + ROW * (index + 0.5)) for index, node in enumerate(other_nodes)}
    height = 90 + row_count * ROW
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>',
        *(_arrow(colour) for colour in (PLAIN, *COLOURS.values())),
        f'<text x="20" y="32" font-size="15" font-weight="bold">{_text(question, 110)}</text>',
    ]
    if not edges:
        elements.append('<text x="20" y="56">The graph says nothing about it.</text>')
    lanes = {node: index % 3 for index, node in enumerate(named)}
    elements += [_line(edge, positions) for edge in edges]
    for index, edge in enumerate(edges):
        end_nodes = {edge.head, edge.tail}
        same_pair_count = sum({previous_edge.head, previous_edge.tail} == end_nodes for previous_edge in edges[:index])
        elements.append(_kind(edge, positions, lanes.get(edge.head, lanes.get(edge.tail, 0)), same_pair_count))
    for node, (x, y) in positions.items():
        anchor_text = ' text-anchor="end"' if x == LEFT else ""
        font_weight = ' font-weight="bold"' if x == LEFT else ""
        label_shift = -8 if x == LEFT else 8
        node_name = node.key if node.image else node.name
        elements.append(f'<circle cx="{x}" cy="{y:.1f}" r="4" fill="{"#7b8794" if node.image else "#20415f"}"/>')
        elements.append(
            f'<text x="{x + label_shift}" y="{y + 4:.1f}"{anchor_text}{font_weight}>'
            f"{_text(node_name, MAX_NAME_LENGTH)}</text>"
        )
    return "\n".join([*elements, f"<!-- {MARK} -->", "</svg>\n"])


def write_drawing(path: Path, question: str, named: Sequence[SubgraphNode], edges: Sequence[SubgraphEdge]) -> None:
    """Write the picture. Raises `InputError` where that cannot be."""
    with replacing(path, has_program_mark) as staged_path:
        staged_path.write_text(draw_subgraph(question, named, edges), encoding="utf-8")


def _arrow(colour: str) -> str:
    """The head of edges of a colour."""
    return (
        f'<marker id="{colour[1:]}" viewBox="0 0 8 8" refX="13" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" fill="{colour}"/></marker>'
    )


def _line(edge: SubgraphEdge, positions: Mapping[SubgraphNode, tuple[float, float]]) -> str:
    """From head to tail; between two of one column an arc next to it."""
    (head_x, head_y), (tail_x, tail_y) = positions[edge.head], positions[edge.tail]
    colour = COLOURS.get(edge.kind, PLAIN)
    curve = f"Q {head_x + 2 * _reach(head_x)} {(head_y + tail_y) / 2:.1f}" if head_x == tail_x else "L"
    return (
        f'<path d="M {head_x} {head_y:.1f} {curve} {tail_x} {tail_y:.1f}" fill="none" stroke="{colour}" '
        f'stroke-width="1.2" opacity="0.75" marker-end="url(#{colour[1:]})"/>'
    )


def _kind(
    edge: SubgraphEdge, positions: Mapping[SubgraphNode, tuple[float, float]], lane: int, same_pair_count: int
) -> str:
    """The edge's kind in words, near the right, where edges are apart; those of a named concept in a separate lane,
    and below the `same_pair_count` edges that join the same two.
    """
    (head_x, head_y), (tail_x, tail_y) = positions[edge.head], positions[edge.tail]
    fraction = 0.8 - 0.22 * lane
    if head_x == tail_x:
        label_x, label_y = head_x + _reach(head_x), (head_y + tail_y) / 2
    else:
        left_y, right_y = (head_y, tail_y) if head_x == LEFT else (tail_y, head_y)
        label_x, label_y = LEFT + fraction * (RIGHT - LEFT), left_y + fraction * (right_y - left_y)
    return (
        f'<text x="{label_x:.1f}" y="{label_y - 2 + 10 * same_pair_count:.1f}" '
        f'fill="{COLOURS.get(edge.kind, PLAIN)}" font-size="9" text-anchor="middle" '
        f'stroke="#ffffff" stroke-width="3" paint-order="stroke">{_text(edge.kind, 30)}</text>'
    )


def _reach(column_x: float) -> int:
    """How far an arc is from its column."""
    return 40 if column_x == LEFT else -40


def _text(raw_text: str, max_length: int) -> str:
    printable = "".join(character if character.isprintable() else "�" for character in raw_text)
    return escape(printable if len(printable) <= max_length else printable[: max_length - 1] + "…")
