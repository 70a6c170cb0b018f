"""A question's subgraph as a picture (SVG): the concepts that it names on the left, what is joined to them beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from kgplatform.files import MARK, marked, replacing
from kgplatform.vqa.live import Edge, Node

ROW: Final = 22  # pixels of a line
WIDTH: Final = 900
LEFT, RIGHT = 230, 560  # where the columns begin
LONGEST: Final = 44  # characters of a name
COLOURS: Final = {"POSITIVE": "#1b7f4b", "NEGATIVE": "#b3261e", "UNCERTAIN": "#a8760a"}
PLAIN: Final = "#4a5b6c"


def draw(question: str, named: Sequence[Node], edges: Sequence[Edge]) -> str:
    """The SVG's text. Edges between two named concepts are drawn on the left of them."""
    others = list(dict.fromkeys(node for edge in edges for node in (edge.head, edge.tail) if node not in named))
    rows = max(len(others), len(named), 1)
    gap = rows * ROW / max(len(named), 1)
    place = {node: (LEFT, 70 + gap * (number + 0.5)) for number, node in enumerate(named)}
    place |= {node: (RIGHT, 70 + ROW * (number + 0.5)) for number, node in enumerate(others)}
    height = 90 + rows * ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>',
        *(_arrow(colour) for colour in (PLAIN, *COLOURS.values())),
        f'<text x="20" y="32" font-size="15" font-weight="bold">{_text(question, 110)}</text>',
    ]
    if not edges:
        parts.append('<text x="20" y="56">The graph says nothing about it.</text>')
    lanes = {node: number % 3 for number, node in enumerate(named)}
    parts += [_line(edge, place) for edge in edges]
    for number, edge in enumerate(edges):
        pair = {edge.head, edge.tail}
        same = sum({one.head, one.tail} == pair for one in edges[:number])
        parts.append(_kind(edge, place, lanes.get(edge.head, lanes.get(edge.tail, 0)), same))
    for node, (x, y) in place.items():
        end = ' text-anchor="end"' if x == LEFT else ""
        weight = ' font-weight="bold"' if x == LEFT else ""
        shift = -8 if x == LEFT else 8
        name = node.key if node.image else node.name
        parts.append(f'<circle cx="{x}" cy="{y:.1f}" r="4" fill="{"#7b8794" if node.image else "#20415f"}"/>')
        parts.append(f'<text x="{x + shift}" y="{y + 4:.1f}"{end}{weight}>{_text(name, LONGEST)}</text>')
    return "\n".join([*parts, f"<!-- {MARK} -->", "</svg>\n"])


def write(path: Path, question: str, named: Sequence[Node], edges: Sequence[Edge]) -> None:
    """Write the picture. Raises `InputError` where that cannot be."""
    with replacing(path, marked) as staged:
        staged.write_text(draw(question, named, edges), encoding="utf-8")


def _arrow(colour: str) -> str:
    """The head of edges of a colour."""
    return (
        f'<marker id="{colour[1:]}" viewBox="0 0 8 8" refX="13" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" fill="{colour}"/></marker>'
    )


def _line(edge: Edge, place: Mapping[Node, tuple[float, float]]) -> str:
    """From head to tail; between two of one column an arc beside it."""
    (x, y), (u, v) = place[edge.head], place[edge.tail]
    colour = COLOURS.get(edge.kind, PLAIN)
    by = f"Q {x + 2 * _reach(x)} {(y + v) / 2:.1f}" if x == u else "L"
    return (
        f'<path d="M {x} {y:.1f} {by} {u} {v:.1f}" fill="none" stroke="{colour}" stroke-width="1.2" '
        f'opacity="0.75" marker-end="url(#{colour[1:]})"/>'
    )


def _kind(edge: Edge, place: Mapping[Node, tuple[float, float]], lane: int, same: int) -> str:
    """The edge's kind in words, near the right, where edges are apart; those of a named concept in a lane of its own,
    and below the `same` edges that join the same two.
    """
    (x, y), (u, v) = place[edge.head], place[edge.tail]
    share = 0.8 - 0.22 * lane
    if x == u:
        at, height = x + _reach(x), (y + v) / 2
    else:
        left, right = (y, v) if x == LEFT else (v, y)
        at, height = LEFT + share * (RIGHT - LEFT), left + share * (right - left)
    return (
        f'<text x="{at:.1f}" y="{height - 2 + 10 * same:.1f}" fill="{COLOURS.get(edge.kind, PLAIN)}" font-size="9" '
        f'text-anchor="middle" stroke="#ffffff" stroke-width="3" paint-order="stroke">{_text(edge.kind, 30)}</text>'
    )


def _reach(x: float) -> int:
    """How far an arc is from its column."""
    return 40 if x == LEFT else -40


def _text(text: str, longest: int) -> str:
    printable = "".join(character if character.isprintable() else "�" for character in text)
    return escape(printable if len(printable) <= longest else printable[: longest - 1] + "…")
