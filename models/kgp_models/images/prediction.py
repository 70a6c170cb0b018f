"""What an image shows, as predicted: links with their probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kgp_models.images.examples import Link
from kgplatform.generate.inputs import Input

BY_BOTH, BY_ENCODER, BY_NEIGHBOURS = "encoder and graph", "encoder", "graph"


class PredictedLink(NamedTuple):
    """A link, its probability, and what it rests on: the encoder, the graph's images, or both."""

    link: Link
    probability: float
    by: str


@dataclass(frozen=True)
class PredictedImage:
    """What an image shows, the likeliest first. `distance` says how unlike it is to the training's images; `problem`
    why there is nothing.
    """

    image: Input
    links: tuple[PredictedLink, ...] = ()
    distance: float | None = None
    is_unlike: bool = False
    problem: str | None = None


def image_document(predicted: PredictedImage) -> dict[str, Any]:
    """As JSON."""
    return {
        "image": predicted.image.id,
        "path": None if predicted.image.path is None else str(predicted.image.path),
        "distance": predicted.distance,
        "unlike_training_images": predicted.is_unlike,
        "problem": predicted.problem,
        "links": [link_document(link) for link in predicted.links],
    }


def link_document(predicted: PredictedLink) -> Mapping[str, Any]:
    """As JSON."""
    return {
        "stance": predicted.link.stance,
        "cui": predicted.link.cui,
        "name": predicted.link.name,
        "probability": round(predicted.probability, 4),
        "by": predicted.by,
    }
