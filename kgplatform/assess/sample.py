"""What raters are asked about: random images with their concepts, random concepts with the images that show them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

from kgplatform import queries
from kgplatform.errors import NotFoundError, UsageError
from kgplatform.graph import Graph

T = TypeVar("T")

CONCEPTS_AT_A_TIME: Final = 50  # whose images are looked for together


class Shown(NamedTuple):
    """A concept of an image, as a rater sees it."""

    concept: str
    definition: str
    relation: str


class ImageItem(NamedTuple):
    """An image with all its concepts."""

    id: str
    path: str
    concepts: tuple[Shown, ...]


class ConceptItem(NamedTuple):
    """A concept with images that show it (id and path), and how many there are in all."""

    id: str
    name: str
    definition: str
    images: tuple[tuple[str, str], ...]
    total: int


@dataclass(frozen=True)
class Sample:
    """What a workbook asks about."""

    seed: int
    images: tuple[ImageItem, ...]
    concepts: tuple[ConceptItem, ...]

    @property
    def identity(self) -> str:
        """A hash of all that is asked: workbooks of one identity can be scored together."""
        content = json.dumps([self.seed, self.images, self.concepts])
        return hashlib.sha256(content.encode()).hexdigest()


def draw(
    graph: Graph,
    images: int = 30,
    concepts: int = 30,
    seed: int = 42,
    max_images: int = 10,
    can_show: Callable[[str], object] = lambda path: True,
) -> Sample:
    """Draw a sample; the same graph and seed (and files) give the same. Fewer are drawn where the graph has fewer.

    `max_images` of a concept's images are shown; of images and concepts, those that `can_show` (a path) has something
    of. Raises `UsageError` for numbers below 1 and `NotFoundError` where the graph has no such image with a stance.
    """
    if min(images, concepts, max_images) < 1:
        raise UsageError("at least one image, one concept and one image of each must be asked for", "")
    candidates = _shuffled(graph.read(queries.get("assess/images")), f"images {seed}")
    if not candidates:
        hint = "Load a graph first: `kgp ingest medmkg` or `kgp construct run`."
        raise NotFoundError("no image of the graph has a concept", hint)
    chosen = list(islice((row["id"] for row in candidates if can_show(row["path"])), images))
    if not chosen:
        what = f"none of the graph's {len(candidates):,} images with a concept has a readable file here"
        raise NotFoundError(what, "Give the folder that the images' paths begin in: --image-root.")
    shown = graph.read(queries.get("assess/image_concepts"), ids=chosen)
    items = [_image(id, [row for row in shown if row["image"] == id]) for id in chosen]
    return Sample(seed, tuple(items), tuple(islice(_concepts(graph, seed, max_images, can_show), concepts)))


def _shuffled(rows: Sequence[T], seed: str) -> list[T]:
    return random.Random(f"kgp assess {seed}").sample(rows, len(rows))  # noqa: S311  not for secrets


def _concepts(graph: Graph, seed: int, max_images: int, can_show: Callable[[str], object]) -> Iterator[ConceptItem]:
    """The concepts with an image that can be shown, in a random order."""
    ids = [row["id"] for row in _shuffled(graph.read(queries.get("assess/concepts")), f"concepts {seed}")]
    for start in range(0, len(ids), CONCEPTS_AT_A_TIME):
        part = ids[start : start + CONCEPTS_AT_A_TIME]
        showing = graph.read(queries.get("assess/concept_images"), ids=part)
        for id in part:
            item = _concept(id, [row for row in showing if row["cui"] == id], seed, max_images, can_show)
            if item.images:
                yield item


def _image(id: str, rows: Sequence[dict[str, Any]]) -> ImageItem:
    concepts = (Shown(row["concept"], _definition(row), row["relation"]) for row in rows)
    return ImageItem(id, rows[0]["path"] or "", tuple(concepts))


def _concept(
    id: str, rows: Sequence[dict[str, Any]], seed: int, max_images: int, can_show: Callable[[str], object]
) -> ConceptItem:
    paths = {row["image"]: row["path"] or "" for row in rows}
    order = _shuffled(list(paths), f"images of {id} {seed}")
    shown = islice((image for image in order if can_show(paths[image])), max_images)
    images = tuple((image, paths[image]) for image in sorted(shown))
    return ConceptItem(id, rows[0]["concept"], _definition(rows[0]), images, len(paths))


def _definition(row: dict[str, Any]) -> str:
    return row["definition"] or ", ".join(row["types"])
