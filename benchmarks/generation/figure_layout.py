"""Where the boxes and lines of a drawn graph stand: in layers from left to right, heads before tails, no overlap.

After Sugiyama, Tagawa & Toda (1981), with the relation's name as an item of a separate layer between two layers of
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


class TextBox(NamedTuple):
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
    name: TextBox
    x: float
    y: float
    rightwards: bool


class Layout(NamedTuple):
    """Boxes of the entities in the order in which they first occur, lines in that of the edges; and the size of all."""

    boxes: dict[str, TextBox]
    lines: tuple[Line, ...]
    width: float
    height: float


class LayoutEdge(NamedTuple):
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


def lay_out(edges: Sequence[LayoutEdge], texts: Mapping[str, str]) -> Layout:
    """Places for the edges and their entities, whose texts are given by identity. Components stand under each other."""
    boxes: dict[str, TextBox] = {}
    lines: dict[int, Line] = {}
    next_top = total_width = 0.0
    for component in _components(edges):
        drawing = _Drawing({edge_index: edges[edge_index] for edge_index in component}, texts)
        drawing_width, drawing_height = drawing.arrange(next_top)
        boxes |= drawing.boxes()
        lines |= drawing.lines()
        next_top, total_width = next_top + drawing_height + 2 * APART, max(total_width, drawing_width)
    return Layout(
        boxes, tuple(lines[edge_index] for edge_index in range(len(edges))), total_width, max(next_top - 2 * APART, 0.0)
    )


def _components(edges: Sequence[LayoutEdge]) -> list[list[int]]:
    """The edges' places by connected component, in the order in which components first occur."""
    component_by_entity: dict[str, list[int]] = {}
    for edge_index, (head, _, tail) in enumerate(edges):
        head_edges, tail_edges = component_by_entity.setdefault(head, []), component_by_entity.setdefault(tail, [])
        if head_edges is not tail_edges:
            head_edges.extend(tail_edges)
            component_by_entity |= {
                entity: head_edges for entity, edge_indices in component_by_entity.items() if edge_indices is tail_edges
            }
        head_edges.append(edge_index)
    unique = {id(edge_indices): sorted(edge_indices) for edge_indices in component_by_entity.values()}
    return sorted(unique.values())


def _forward(edges: Iterable[LayoutEdge]) -> list[tuple[str, str]]:
    """The edges as pairs without a cycle: one that would close a cycle is turned round. Loops are left out."""
    successors: dict[str, list[str]] = {}
    pairs = []
    for head, _, tail in edges:
        source, target = (tail, head) if _reaches(successors, tail, head) else (head, tail)
        if source != target:
            successors.setdefault(source, []).append(target)
            pairs.append((source, target))
    return pairs


def _reaches(successors: Mapping[str, Sequence[str]], source: str, target: str) -> bool:
    visited, pending = {source}, [source]
    while pending:
        for successor in successors.get(pending.pop(), ()):
            if successor not in visited:
                visited.add(successor)
                pending.append(successor)
    return target in visited and source != target


def _ranks(edges: Sequence[LayoutEdge]) -> dict[str, int]:
    """Each entity's layer, of those of entities: right of every head, as far left as that allows; and those without a
    head close to their tails.
    """
    ranks = {entity: 0 for head, _, tail in edges for entity in (head, tail)}
    pairs = _forward(edges)
    for _ in ranks:
        for source, target in pairs:
            ranks[target] = max(ranks[target], ranks[source] + 1)
    for entity in ranks.keys() - {target for _, target in pairs}:
        ranks[entity] = min((ranks[target] for source, target in pairs if source == entity), default=1) - 1
    lowest_rank = min(ranks.values())
    return {entity: entity_rank - lowest_rank for entity, entity_rank in ranks.items()}


class _Drawing:
    """One connected component: its items, linked from layer to layer."""

    def __init__(self, edges: Mapping[int, LayoutEdge], texts: Mapping[str, str]) -> None:
        self._edges = edges
        self._ranks = _ranks(list(edges.values()))
        self._items: list[_Item] = []
        self._entities = {entity: self._box(2 * rank, texts[entity]) for entity, rank in self._ranks.items()}
        self._chains = {edge_index: self._chain(edge) for edge_index, edge in edges.items()}
        for item in self._entities.values():
            item.height = max(item.height, PORT * (max(len(item.before), len(item.after)) + 1))

    def _add(self, item: _Item) -> _Item:
        self._items.append(item)
        return item

    def _box(self, layer: int, text: str) -> _Item:
        text_lines = wrapped(text)
        return self._add(_Item(layer, text_lines, max(map(breadth, text_lines)) + 16, LINE * len(text_lines) + 10))

    def _chain(self, edge: LayoutEdge) -> list[_Item]:
        """The edge's items from left to right: an entity, the name, bends, an entity. A loop ends at its name."""
        left_name, right_name = sorted((edge.head, edge.tail), key=self._ranks.__getitem__)
        left_end, right_end = self._entities[left_name], self._entities[right_name]
        chain = [left_end, self._add(_Item(left_end.layer + 1, (edge.name,), breadth(edge.name) * 0.9 + 6, LINE))]
        chain += [self._add(_Item(layer, (), 0, 4)) for layer in range(left_end.layer + 2, right_end.layer)]
        if left_name != right_name:
            chain.append(right_end)
        for left_item, right_item in pairwise(chain):
            left_item.after.append(right_item)
            right_item.before.append(left_item)
        return chain

    def arrange(self, top: float) -> tuple[float, float]:
        """Give every item its place, from `top` down; returns width and height."""
        self._layers: dict[int, list[_Item]] = {}
        for item in sorted(self._items, key=lambda item: item.layer):
            self._layers.setdefault(item.layer, []).append(item)
        for layer in self._layers.values():
            _stack(layer, [0.0] * len(layer))
        for sweep in range(SWEEPS):
            # At last between all neighbours; before, one side decides the order.
            by_all_neighbours = sweep >= SWEEPS - 4
            for layer_number in sorted(self._layers, reverse=sweep % 2 == 1):
                layer = self._layers[layer_number]
                layer.sort(key=lambda item: _ideal_position(item, sweep % 2 == 1, by_all_neighbours))
                _stack(layer, [_ideal_position(item, sweep % 2 == 1, by_all_neighbours) for item in layer])
        top_edge = min(item.y - item.height / 2 for item in self._items)
        for item in self._items:
            item.y += top - top_edge
        return self._across(), max(item.y + item.height / 2 for item in self._items) - top

    def _across(self) -> float:
        """Set the layers next to each other; returns their width."""
        self._sides: dict[int, tuple[float, float]] = {}
        left_edge = 0.0
        for layer_number, layer in self._layers.items():
            layer_width = max(item.width for item in layer)
            self._sides[layer_number] = (left_edge, left_edge + layer_width)
            for item in layer:
                item.width = layer_width if layer_number % 2 == 0 else item.width
                item.left = left_edge + (layer_width - item.width) / 2
            left_edge += layer_width + GAP
        return left_edge - GAP

    def boxes(self) -> dict[str, TextBox]:
        """The entities' boxes."""
        return {entity: _placed(item) for entity, item in self._entities.items()}

    def lines(self) -> dict[int, Line]:
        """The lines, by the edges' places."""
        edge_lines = {}
        for edge_index, edge in self._edges.items():
            chain = self._chains[edge_index]
            wires = tuple(self._wire(left_item, right_item) for left_item, right_item in pairwise(chain))
            rightwards = edge.head != edge.tail and chain[0] is self._entities[edge.head]
            tip_x, tip_y = (wires[-1].x3, wires[-1].y1) if rightwards else (wires[0].x0, wires[0].y0)
            edge_lines[edge_index] = Line(wires, _placed(chain[1]), tip_x, tip_y, rightwards)
        return edge_lines

    def _wire(self, left_item: _Item, right_item: _Item) -> Wire:
        leaving_x = left_item.left + (left_item.width if left_item.lines else 0)  # a bend is crossed, too
        start_y, end_y = _port(left_item, left_item.after, right_item), _port(right_item, right_item.before, left_item)
        return Wire(
            leaving_x,
            self._sides[left_item.layer][1],
            self._sides[right_item.layer][0],
            right_item.left,
            start_y,
            end_y,
        )


def _port(item: _Item, side: Sequence[_Item], neighbour: _Item) -> float:
    """Where on this side of the item the line from the other meets it: in the order of the others."""
    port_index = sorted(side, key=lambda side_item: side_item.y).index(neighbour)
    return item.y + PORT * (port_index - (len(side) - 1) / 2)


def _placed(item: _Item) -> TextBox:
    return TextBox(item.lines, item.left, item.y - item.height / 2, item.width, item.height)


def _ideal_position(item: _Item, leftwards: bool, by_all_neighbours: bool) -> float:
    """Where the item would stand best: at the middle of its neighbours."""
    neighbours = item.before + item.after if by_all_neighbours else (item.after if leftwards else item.before)
    return fmean(neighbour.y for neighbour in neighbours) if neighbours else item.y


def _stack(layer: Sequence[_Item], targets: Sequence[float]) -> None:
    """Place the items in their order as near as can be to where they are wanted, without overlap: the least squares
    solution, by pooling neighbours that are in each other's way.
    """
    offsets = [0.0]
    for upper_item, lower_item in pairwise(layer):
        offsets.append(offsets[-1] + (upper_item.height + lower_item.height) / 2 + APART)
    blocks: list[tuple[float, int]] = []
    for target, offset in zip(targets, offsets, strict=True):
        block_mean, block_size = target - offset, 1
        while blocks and blocks[-1][0] > block_mean:
            above_mean, above_size = blocks.pop()
            block_mean, block_size = (
                (block_mean * block_size + above_mean * above_size) / (block_size + above_size),
                block_size + above_size,
            )
        blocks.append((block_mean, block_size))
    positions = [block_mean for block_mean, block_size in blocks for _ in range(block_size)]
    for item, position, offset in zip(layer, positions, offsets, strict=True):
        item.y = position + offset
