"""A question's subgraph as a picture (SVG): the concepts that it names on the left, what is joined to them beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from kgplatform.errors import InputError
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
        f'<text x="20" y="32" font-size="15" font-weight="bold">{_text(question, 110)}</text>',
    ]
    if not edges:
        parts.append('<text x="20" y="56">The graph says nothing about it.</text>')
    parts += [line for number, edge in enumerate(edges) for line in _edge(edge, place, number)]
    for node, (x, y) in place.items():
        end = ' text-anchor="end"' if x == LEFT else ""
        weight = ' font-weight="bold"' if x == LEFT else ""
        shift = -8 if x == LEFT else 8
        name = node.key if node.image else node.name
        parts.append(f'<circle cx="{x}" cy="{y:.1f}" r="4" fill="{"#7b8794" if node.image else "#20415f"}"/>')
        parts.append(f'<text x="{x + shift}" y="{y + 4:.1f}"{end}{weight}>{_text(name, LONGEST)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def write(path: Path, question: str, named: Sequence[Node], edges: Sequence[Edge]) -> None:
    """Write the picture. Raises `InputError` where that cannot be."""
    try:
        staged = path.with_name(f"{path.name}.part")
        staged.write_text(draw(question, named, edges), encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path=path) from None


def _edge(edge: Edge, place: Mapping[Node, tuple[float, float]], number: int) -> list[str]:
    (x, y), (u, v) = place[edge.head], place[edge.tail]
    colour = COLOURS.get(edge.kind, PLAIN)
    if x == u:  # in one column: an arc beside it
        reach = 40 if x == LEFT else -40
        middle = (x + reach, (y + v) / 2)
        path = f"M {x} {y:.1f} Q {x + 2 * reach} {(y + v) / 2:.1f} {u} {v:.1f}"
    else:
        share = 0.35 + 0.3 * (number % 3) / 2  # so that words of neighbours do not lie on each other
        at = (LEFT + share * (RIGHT - LEFT), 0.0)
        left, right = ((x, y), (u, v)) if x == LEFT else ((u, v), (x, y))
        middle = (at[0], left[1] + share * (right[1] - left[1]))
        path = f"M {x} {y:.1f} L {u} {v:.1f}"
    return [
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.2" opacity="0.75"/>',
        f'<text x="{middle[0]:.1f}" y="{middle[1] - 2:.1f}" fill="{colour}" font-size="9" text-anchor="middle">'
        f"{_text(edge.kind, 30)}</text>",
    ]


def _text(text: str, longest: int) -> str:
    printable = "".join(character if character.isprintable() else "�" for character in text)
    return escape(printable if len(printable) <= longest else printable[: longest - 1] + "…")
