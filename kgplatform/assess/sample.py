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


class RatedConcept(NamedTuple):
    """A concept of an image, as a rater sees it."""

    concept: str
    definition: str
    relation: str


class ImageItem(NamedTuple):
    """An image with all its concepts."""

    id: str
    path: str
    concepts: tuple[RatedConcept, ...]


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


def draw_sample(
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
        raise UsageError("the sample needs at least one image, one concept and one image of each concept", "")
    candidates = _shuffled(graph.read(queries.get("assess/images")), f"images {seed}")
    if not candidates:
        hint = "Load a graph first: `kgp ingest medmkg` or `kgp construct run`."
        raise NotFoundError("no image of the graph has a concept", hint)
    image_ids = list(islice((graph_row["id"] for graph_row in candidates if can_show(graph_row["path"])), images))
    if not image_ids:
        message = f"none of the graph's {len(candidates):,} images with a concept has a readable file here"
        raise NotFoundError(message, "Give the folder that the image paths are relative to: --image-root.")
    concept_rows = graph.read(queries.get("assess/image_concepts"), ids=image_ids)
    image_items = [
        _image(image_id, [graph_row for graph_row in concept_rows if graph_row["image"] == image_id])
        for image_id in image_ids
    ]
    return Sample(seed, tuple(image_items), tuple(islice(_concepts(graph, seed, max_images, can_show), concepts)))


def _shuffled(rows: Sequence[T], seed_text: str) -> list[T]:
    return random.Random(f"kgp assess {seed_text}").sample(rows, len(rows))  # noqa: S311  not for secrets


def _concepts(graph: Graph, seed: int, max_images: int, can_show: Callable[[str], object]) -> Iterator[ConceptItem]:
    """The concepts with an image that can be shown, in a random order."""
    concept_ids = [
        graph_row["id"] for graph_row in _shuffled(graph.read(queries.get("assess/concepts")), f"concepts {seed}")
    ]
    for start in range(0, len(concept_ids), CONCEPTS_AT_A_TIME):
        batch_ids = concept_ids[start : start + CONCEPTS_AT_A_TIME]
        image_rows = graph.read(queries.get("assess/concept_images"), ids=batch_ids)
        for concept_id in batch_ids:
            concept_item = _concept(
                concept_id,
                [graph_row for graph_row in image_rows if graph_row["cui"] == concept_id],
                seed,
                max_images,
                can_show,
            )
            if concept_item.images:
                yield concept_item


def _image(image_id: str, concept_rows: Sequence[dict[str, Any]]) -> ImageItem:
    concepts = (
        RatedConcept(concept_row["concept"], _definition(concept_row), concept_row["relation"])
        for concept_row in concept_rows
    )
    return ImageItem(image_id, concept_rows[0]["path"] or "", tuple(concepts))


def _concept(
    concept_id: str, image_rows: Sequence[dict[str, Any]], seed: int, max_images: int, can_show: Callable[[str], object]
) -> ConceptItem:
    paths = {image_row["image"]: image_row["path"] or "" for image_row in image_rows}
    shuffled_images = _shuffled(list(paths), f"images of {concept_id} {seed}")
    displayed_images = islice((image_id for image_id in shuffled_images if can_show(paths[image_id])), max_images)
    images = tuple((image_id, paths[image_id]) for image_id in sorted(displayed_images))
    return ConceptItem(concept_id, image_rows[0]["concept"], _definition(image_rows[0]), images, len(paths))


def _definition(concept_row: dict[str, Any]) -> str:
    return concept_row["definition"] or ", ".join(concept_row["types"])
