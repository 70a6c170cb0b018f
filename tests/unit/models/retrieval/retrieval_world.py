"""A tiny world for tests of retrieval: pictures of bright squares, reports that name them, and a graph of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kgp_models.generator.language import small_tokenizer
from kgp_models.retrieval.inputs import PairExamples
from kgp_models.retrieval.settings import FineTuning
from kgp_models.towers.backbone import Backbone
from kgp_models.towers.small_backbone import SmallSizes, small_backbone
from kgplatform.datasets.knowledge import GraphImage, Knowledge
from kgplatform.datasets.pair_source import Pair
from kgplatform.datasets.pairs import pair_groups

SIZES = SmallSizes(pixels=32, vocabulary=280, hidden=16, layers=1, heads=2)
CONCEPTS = ("effusion", "pneumothorax", "nodule", "edema")
RELATIONS = ("isa", "inverse_isa")
TUNING = FineTuning(learning_rate=2e-3, epochs=4, patience=4, batch=8, varied=True)


def bright_squares_picture(squares: Sequence[int], seed: int) -> Tensor:
    """A grey picture (1, 32, 32) with a bright square for each concept that it shows."""
    pixels = np.random.default_rng(seed).integers(0, 60, (32, 32)).astype(np.uint8)
    for concept in squares:
        top_edge, left_edge = 16 * (concept // 2), 16 * (concept % 2)
        pixels[top_edge + 2 : top_edge + 14, left_edge + 2 : left_edge + 14] = 220
    return torch.from_numpy(pixels)[None]


def random_squares(count: int, seed: int) -> list[list[int]]:
    """Which concepts each of so many pictures shows."""
    generator = np.random.default_rng(seed)
    return [sorted(np.flatnonzero(generator.random(len(CONCEPTS)) < 0.4).tolist()) for _ in range(count)]


def picture_report(squares: Sequence[int], number: int) -> str:
    """What a report says of a picture: what is present and one thing that is not; no two reports are the same."""
    absent_concept = next(
        concept for concept in range(len(CONCEPTS)) if concept not in squares or len(squares) == len(CONCEPTS)
    )
    findings_text = " and ".join(CONCEPTS[concept] for concept in squares) or "nothing"
    return f"There is {findings_text}. No {CONCEPTS[absent_concept]}. Study {number}."


def example_pairs(count: int, seed: int) -> PairExamples:
    """Pairs of a picture and its report."""
    concepts_by_image = random_squares(count, seed)
    pairs = [
        Pair(
            f"{seed}-{pair_number}",
            Path(f"{pair_number}.png"),
            picture_report(image_concepts, pair_number),
            f"{seed}{pair_number}",
            f"{seed}{pair_number}",
            "AP",
            "Tiny",
        )
        for pair_number, image_concepts in enumerate(concepts_by_image)
    ]
    images = torch.stack(
        [
            bright_squares_picture(image_concepts, seed * 1000 + pair_number)
            for pair_number, image_concepts in enumerate(concepts_by_image)
        ]
    )
    return PairExamples(images, [pair.text for pair in pairs], torch.from_numpy(pair_groups(pairs)), pairs)


def picture_graph(count: int = 24, seed: int = 5) -> tuple[Knowledge, Tensor]:
    """A graph of pictures: POSITIVE to what they show, NEGATIVE or UNCERTAIN to one thing that they do not."""
    concepts_by_image = random_squares(count, seed)
    stances = []
    for image_index, image_concepts in enumerate(concepts_by_image):
        stances += [(image_index, 0, concept) for concept in image_concepts]
        absent_concepts = [concept for concept in range(len(CONCEPTS)) if concept not in image_concepts]
        if absent_concepts:
            stances.append((image_index, 1 + image_index % 2, absent_concepts[image_index % len(absent_concepts)]))
    relations = [(0, 0, 1), (1, 1, 0), (2, 0, 3), (3, 1, 2)]
    images = [GraphImage(f"I{number}", f"{number}.png", "Tiny", str(number), str(number)) for number in range(count)]
    knowledge = Knowledge(
        images,
        [f"C000000{number}" for number in range(len(CONCEPTS))],
        CONCEPTS,
        RELATIONS,
        np.array(stances, dtype=np.int64),
        np.array(relations, dtype=np.int64),
    )
    return knowledge, torch.stack(
        [
            bright_squares_picture(image_concepts, seed * 1000 + number)
            for number, image_concepts in enumerate(concepts_by_image)
        ]
    )


def tiny_retrieval_backbone(seed: int = 0, *, frozen: bool = False) -> Backbone:
    """A tiny backbone whose tokenizer has read the reports."""
    tokenizer = small_tokenizer(
        [picture_report([report_number % 4], report_number) for report_number in range(20)], SIZES.vocabulary
    )
    return small_backbone(tokenizer, SIZES, seed, frozen=frozen)
