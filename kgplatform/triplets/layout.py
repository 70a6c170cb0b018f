"""Where the boxes and lines of a drawn graph stand: in layers from left to right, heads before tails, no overlap.

After Sugiyama, Tagawa & Toda (1981), with the relation's name as an item of a layer of its own between two layers of
entities, so that names cannot overlap either, and with bends where a line passes a layer. Lengths are in pixels, down
and right; the same edges always give the same places.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Final, NamedTuple

LINE: Final = 15.0  # height of a line of text
LETTER: Final = 6.7  # width of a letter of 12 pixels, on the wide side
WRAP: Final = 20  # letters of an entity on a line
APART: Final = 14.0  # between two items of a layer
GAP: Final = 30.0  # between two layers, where the lines cross
PORT: Final = 7.0  # between two lines that meet a box on one side
SWEEPS: Final = 16


class Box(NamedTuple):
    """A text and its place: an entity, or a relation's name."""

    lines: tuple[str, ...]
    left: float
    top: float
    width: float
    height: float


class Wire(NamedTuple):
    """A line from (x0, y0) straight to x1, in a curve to (x2, y1), and straight to (x3, y1)."""

    x0: float
    x1: float
    x2: float
    x3: float
    y0: float
    y1: float


class Line(NamedTuple):
    """An edge as drawn: its wires from left to right, its name, and where the point of its arrow is."""

    wires: tuple[Wire, ...]
    name: Box
    x: float
    y: float
    rightwards: bool


class Layout(NamedTuple):
    """Boxes of the entities in the order in which they first occur, lines in that of the edges; and the size of all."""

    boxes: dict[str, Box]
    lines: tuple[Line, ...]
    width: float
    height: float


class Edge(NamedTuple):
    """What is laid out: two entities' identities and the text on the line between them."""

    head: str
    name: str
    tail: str


@dataclass(eq=False)
class _Item:
    """Something with a place in a layer: an entity, a name, or (without text) a bend."""

    layer: int
    lines: tuple[str, ...]
    width: float
    height: float
    y: float = 0.0  # of its middle
    left: float = 0.0
    before: list[_Item] = field(default_factory=list)
    after: list[_Item] = field(default_factory=list)


def wrapped(text: str, letters: int = WRAP) -> tuple[str, ...]:
    """The text in lines of at most so many letters, without control characters and other unprintable ones."""
    printable = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in text)
    return tuple(textwrap.wrap(printable, letters)) or ("·",)


def breadth(text: str) -> float:
    """The width of a text of 12 pixels, at most; East Asian letters are twice as wide."""
    return LETTER * sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def lay_out(edges: Sequence[Edge], texts: Mapping[str, str]) -> Layout:
    """Places for the edges and their entities, whose texts are given by identity. Components stand under each other."""
    boxes: dict[str, Box] = {}
    lines: dict[int, Line] = {}
    top = width = 0.0
    for component in _components(edges):
        drawn = _Drawing({place: edges[place] for place in component}, texts)
        across, down = drawn.arrange(top)
        boxes |= drawn.boxes()
        lines |= drawn.lines()
        top, width = top + down + 2 * APART, max(width, across)
    return Layout(boxes, tuple(lines[place] for place in range(len(edges))), width, max(top - 2 * APART, 0.0))


def _components(edges: Sequence[Edge]) -> list[list[int]]:
    """The edges' places by connected component, in the order in which components first occur."""
    component: dict[str, list[int]] = {}
    for place, (head, _, tail) in enumerate(edges):
        one, other = component.setdefault(head, []), component.setdefault(tail, [])
        if one is not other:
            one.extend(other)
            component |= {entity: one for entity, places in component.items() if places is other}
        one.append(place)
    unique = {id(places): sorted(places) for places in component.values()}
    return sorted(unique.values())


def _forward(edges: Iterable[Edge]) -> list[tuple[str, str]]:
    """The edges as pairs without a cycle: one that would close a cycle is turned round. Loops are left out."""
    after: dict[str, list[str]] = {}
    pairs = []
    for head, _, tail in edges:
        left, right = (tail, head) if _reaches(after, tail, head) else (head, tail)
        if left != right:
            after.setdefault(left, []).append(right)
            pairs.append((left, right))
    return pairs


def _reaches(after: Mapping[str, Sequence[str]], start: str, end: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for following in after.get(waiting.pop(), ()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return end in seen and start != end


def _ranks(edges: Sequence[Edge]) -> dict[str, int]:
    """Each entity's layer, of those of entities: right of every head, as far left as that allows; and those without a
    head close to their tails.
    """
    rank = {entity: 0 for head, _, tail in edges for entity in (head, tail)}
    pairs = _forward(edges)
    for _ in rank:
        for left, right in pairs:
            rank[right] = max(rank[right], rank[left] + 1)
    for entity in rank.keys() - {right for _, right in pairs}:
        rank[entity] = min((rank[right] for left, right in pairs if left == entity), default=1) - 1
    first = min(rank.values())
    return {entity: layer - first for entity, layer in rank.items()}


class _Drawing:
    """One connected component: its items, linked from layer to layer."""

    def __init__(self, edges: Mapping[int, Edge], texts: Mapping[str, str]) -> None:
        self._edges = edges
        self._ranks = _ranks(list(edges.values()))
        self._items: list[_Item] = []
        self._entities = {entity: self._box(2 * rank, texts[entity]) for entity, rank in self._ranks.items()}
        self._chains = {place: self._chain(edge) for place, edge in edges.items()}
        for item in self._entities.values():
            item.height = max(item.height, PORT * (max(len(item.before), len(item.after)) + 1))

    def _add(self, item: _Item) -> _Item:
        self._items.append(item)
        return item

    def _box(self, layer: int, text: str) -> _Item:
        lines = wrapped(text)
        return self._add(_Item(layer, lines, max(map(breadth, lines)) + 16, LINE * len(lines) + 10))

    def _chain(self, edge: Edge) -> list[_Item]:
        """The edge's items from left to right: an entity, the name, bends, an entity. A loop ends at its name."""
        left, right = sorted((edge.head, edge.tail), key=self._ranks.__getitem__)
        first, last = self._entities[left], self._entities[right]
        chain = [first, self._add(_Item(first.layer + 1, (edge.name,), breadth(edge.name) * 0.9 + 6, LINE))]
        chain += [self._add(_Item(layer, (), 0, 4)) for layer in range(first.layer + 2, last.layer)]
        if left != right:
            chain.append(last)
        for one, other in pairwise(chain):
            one.after.append(other)
            other.before.append(one)
        return chain

    def arrange(self, top: float) -> tuple[float, float]:
        """Give every item its place, from `top` down; returns width and height."""
        self._layers: dict[int, list[_Item]] = {}
        for item in sorted(self._items, key=lambda item: item.layer):
            self._layers.setdefault(item.layer, []).append(item)
        for layer in self._layers.values():
            _stack(layer, [0.0] * len(layer))
        for sweep in range(SWEEPS):
            both = sweep >= SWEEPS - 4  # at last between all neighbours; before, one side decides the order
            for number in sorted(self._layers, reverse=sweep % 2 == 1):
                layer = self._layers[number]
                layer.sort(key=lambda item: _wanted(item, sweep % 2 == 1, both))
                _stack(layer, [_wanted(item, sweep % 2 == 1, both) for item in layer])
        highest = min(item.y - item.height / 2 for item in self._items)
        for item in self._items:
            item.y += top - highest
        return self._across(), max(item.y + item.height / 2 for item in self._items) - top

    def _across(self) -> float:
        """Set the layers beside each other; returns their width."""
        self._sides: dict[int, tuple[float, float]] = {}
        left = 0.0
        for number, layer in self._layers.items():
            width = max(item.width for item in layer)
            self._sides[number] = (left, left + width)
            for item in layer:
                item.width = width if number % 2 == 0 else item.width
                item.left = left + (width - item.width) / 2
            left += width + GAP
        return left - GAP

    def boxes(self) -> dict[str, Box]:
        """The entities' boxes."""
        return {entity: _placed(item) for entity, item in self._entities.items()}

    def lines(self) -> dict[int, Line]:
        """The lines, by the edges' places."""
        found = {}
        for place, edge in self._edges.items():
            chain = self._chains[place]
            wires = tuple(self._wire(one, other) for one, other in pairwise(chain))
            rightwards = edge.head != edge.tail and chain[0] is self._entities[edge.head]
            x, y = (wires[-1].x3, wires[-1].y1) if rightwards else (wires[0].x0, wires[0].y0)
            found[place] = Line(wires, _placed(chain[1]), x, y, rightwards)
        return found

    def _wire(self, one: _Item, other: _Item) -> Wire:
        leaves = one.left + (one.width if one.lines else 0)  # a bend is crossed, too
        start, end = _port(one, one.after, other), _port(other, other.before, one)
        return Wire(leaves, self._sides[one.layer][1], self._sides[other.layer][0], other.left, start, end)


def _port(item: _Item, side: Sequence[_Item], other: _Item) -> float:
    """Where on this side of the item the line from the other meets it: in the order of the others."""
    place = sorted(side, key=lambda near: near.y).index(other)
    return item.y + PORT * (place - (len(side) - 1) / 2)


def _placed(item: _Item) -> Box:
    return Box(item.lines, item.left, item.y - item.height / 2, item.width, item.height)


def _wanted(item: _Item, leftwards: bool, both: bool) -> float:
    """Where the item would stand best: at the middle of its neighbours."""
    near = item.before + item.after if both else (item.after if leftwards else item.before)
    return fmean(one.y for one in near) if near else item.y


def _stack(layer: Sequence[_Item], wanted: Sequence[float]) -> None:
    """Place the items in their order as near as can be to where they are wanted, without overlap: the least squares
    solution, by pooling neighbours that are in each other's way.
    """
    offsets = [0.0]
    for one, other in pairwise(layer):
        offsets.append(offsets[-1] + (one.height + other.height) / 2 + APART)
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        mean, size = want - offset, 1
        while blocks and blocks[-1][0] > mean:
            above, more = blocks.pop()
            mean, size = (mean * size + above * more) / (size + more), size + more
        blocks.append((mean, size))
    places = [mean for mean, size in blocks for _ in range(size)]
    for item, place, offset in zip(layer, places, offsets, strict=True):
        item.y = place + offset
