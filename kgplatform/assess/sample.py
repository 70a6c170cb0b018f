"""What raters are asked about: random images with their concepts, random concepts with the images that show them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kgplatform import queries
from kgplatform.errors import NotFoundError, UsageError
from kgplatform.graph import Graph


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


def draw(graph: Graph, images: int = 30, concepts: int = 30, seed: int = 42, max_images: int = 10) -> Sample:
    """Draw a sample; the same graph and seed give the same. Fewer are drawn where the graph has fewer.

    `max_images` of a concept's images are shown. Raises `UsageError` for numbers below 1 and `NotFoundError` where the
    graph has no image with a stance.
    """
    if min(images, concepts, max_images) < 1:
        raise UsageError("at least one image, one concept and one image of each must be asked for", "")
    chosen_images = _some(graph.read(queries.get("assess/images")), images, f"images {seed}")
    chosen_concepts = _some(graph.read(queries.get("assess/concepts")), concepts, f"concepts {seed}")
    if not chosen_images:
        raise NotFoundError("no image of the graph has a concept", "Load a graph first: kgp ingest, kgp construct run.")
    shown = graph.read(queries.get("assess/image_concepts"), ids=chosen_images)
    showing = graph.read(queries.get("assess/concept_images"), ids=chosen_concepts)
    return Sample(
        seed,
        tuple(_image(id, [row for row in shown if row["image"] == id]) for id in chosen_images),
        tuple(_concept(id, [row for row in showing if row["cui"] == id], seed, max_images) for id in chosen_concepts),
    )


def _some(rows: Sequence[dict[str, Any]], count: int, seed: str) -> list[str]:
    ids = [row["id"] for row in rows]
    return random.Random(f"kgp assess {seed}").sample(ids, min(count, len(ids)))  # noqa: S311  not for secrets


def _image(id: str, rows: Sequence[dict[str, Any]]) -> ImageItem:
    concepts = (Shown(row["concept"], _definition(row), row["relation"]) for row in rows)
    return ImageItem(id, rows[0]["path"] or "", tuple(concepts))


def _concept(id: str, rows: Sequence[dict[str, Any]], seed: int, max_images: int) -> ConceptItem:
    paths = {row["image"]: row["path"] or "" for row in rows}
    shown = _some([{"id": image} for image in paths], max_images, f"images of {id} {seed}")
    images = tuple((image, paths[image]) for image in sorted(shown))
    return ConceptItem(id, rows[0]["concept"], _definition(rows[0]), images, len(paths))


def _definition(row: dict[str, Any]) -> str:
    return row["definition"] or ", ".join(row["types"])
