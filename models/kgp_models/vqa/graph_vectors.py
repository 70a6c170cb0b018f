"""What frozen towers make of the graph, computed once: vectors of names of concepts, images and kinds of edges."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from kgp_models.retrieval.inputs import warn_truncated
from kgp_models.towers.backbone import Backbone
from kgp_models.vqa.evidence import ImageEvidence
from kgp_models.vqa.tower_features import Images, encode_images, encode_text_vectors
from kgplatform.datasets.knowledge import Knowledge
from kgplatform.progress import Progress, no_progress
from kgplatform.radiograph import find_image

logger = logging.getLogger(__name__)
STANCE_WORDS: Final = ("shows", "may show", "does not show")  # in the order of `STANCES`


def kind_words(relations: Sequence[str]) -> list[str]:
    """The kinds of edges in words, stances first."""
    return [*STANCE_WORDS, *(relation_name.replace("_", " ") for relation_name in relations)]


@dataclass(frozen=True, eq=False)
class GraphVectors:
    """The graph by the towers: `names` (C, Dt), `pictures` (I, Di), zeros where there is none, `pictured` (I,), `kinds`
    (K, Dt); `likelihoods` and `lift` (n, C) are what the evidence states of the questions' images.
    """

    names: Tensor
    pictures: Tensor
    pictured: Tensor
    kinds: Tensor
    evidence: ImageEvidence
    likelihoods: Tensor
    lift: Tensor


def graph_vectors(
    backbone: Backbone,
    knowledge: Knowledge,
    images: Images,
    folder: Path | None,
    cache: Path | None = None,
    progress: Progress = no_progress,
) -> GraphVectors:
    """The graph as models take it. `folder` is where its images' paths begin; None, or none there, for a graph whose
    images are not available.
    """
    warn_truncated(backbone, knowledge.concepts, "concept names")
    name_vectors = encode_text_vectors(backbone, knowledge.concepts, cache) if knowledge.concepts else torch.zeros(0, 1)
    kind_names = kind_words(knowledge.relation_names)
    vector_width = images.vectors.shape[1]
    pictures, pictured = (
        torch.zeros(len(knowledge.images), vector_width),
        torch.zeros(len(knowledge.images), dtype=torch.bool),
    )
    candidate_paths = {} if folder is None else {image.id: find_image(folder, image.path) for image in knowledge.images}
    existing_paths = {
        image: image_path
        for image, image_path in candidate_paths.items()
        if image_path is not None and image_path.is_file()
    }
    if folder is not None and len(existing_paths) < len(candidate_paths):
        logger.warning(f"{len(existing_paths):,} of {len(candidate_paths):,} images of the graph are in {folder}")
    if existing_paths:
        loaded_images = encode_images(backbone, existing_paths, cache, progress, regions=False)
        image_rows = {image.id: row_number for row_number, image in enumerate(knowledge.images)}
        row_numbers = torch.tensor([image_rows[image_name] for image_name in loaded_images.row_by_name])
        pictures[row_numbers] = loaded_images.vectors[list(loaded_images.row_by_name.values())]
        pictured[row_numbers] = True
    evidence = ImageEvidence.learn(knowledge, pictures, pictured)
    image_evidence = evidence(images.vectors), evidence.lift(images.vectors)
    return GraphVectors(
        name_vectors, pictures, pictured, encode_text_vectors(backbone, kind_names, cache), evidence, *image_evidence
    )
