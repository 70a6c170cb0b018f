"""A tiny world for tests of retrieval: pictures of bright squares, reports that name them, and a graph of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kgp_models.generator.language import small_tokenizer
from kgp_models.retrieval.backbone import Backbone
from kgp_models.retrieval.inputs import Examples
from kgp_models.retrieval.small import SmallSizes, small_backbone
from kgplatform.retrieval.knowledge import GraphImage, Knowledge
from kgplatform.retrieval.pairs import Pair, groups

SIZES = SmallSizes(pixels=32, vocabulary=280, hidden=16, layers=1, heads=2)
CONCEPTS = ("effusion", "pneumothorax", "nodule", "edema")
RELATIONS = ("isa", "inverse_isa")


def picture(shown: Sequence[int], seed: int) -> Tensor:
    """A grey picture (1, 32, 32) with a bright square for each concept that it shows."""
    grey = np.random.default_rng(seed).integers(0, 60, (32, 32)).astype(np.uint8)
    for concept in shown:
        top, left = 16 * (concept // 2), 16 * (concept % 2)
        grey[top + 2 : top + 14, left + 2 : left + 14] = 220
    return torch.from_numpy(grey)[None]


def shown_by(count: int, seed: int) -> list[list[int]]:
    """Which concepts each of so many pictures shows."""
    rng = np.random.default_rng(seed)
    return [sorted(np.flatnonzero(rng.random(len(CONCEPTS)) < 0.4).tolist()) for _ in range(count)]


def report(shown: Sequence[int], number: int) -> str:
    """What a report says of a picture: what is there and one thing that is not; no two reports are the same."""
    absent = next(concept for concept in range(len(CONCEPTS)) if concept not in shown or len(shown) == len(CONCEPTS))
    there = " and ".join(CONCEPTS[concept] for concept in shown) or "nothing"
    return f"There is {there}. No {CONCEPTS[absent]}. Study {number}."


def example_pairs(count: int, seed: int) -> Examples:
    """Pairs of a picture and its report."""
    shown = shown_by(count, seed)
    pairs = [
        Pair(f"{seed}-{n}", Path(f"{n}.png"), report(row, n), f"{seed}{n}", f"{seed}{n}", "AP", "Tiny")
        for n, row in enumerate(shown)
    ]
    images = torch.stack([picture(row, seed * 1000 + n) for n, row in enumerate(shown)])
    return Examples(images, [pair.text for pair in pairs], torch.from_numpy(groups(pairs)), pairs)


def graph(count: int = 24, seed: int = 5) -> tuple[Knowledge, Tensor]:
    """A graph of pictures: POSITIVE to what they show, NEGATIVE or UNCERTAIN to one thing that they do not."""
    shown = shown_by(count, seed)
    stances = []
    for image, row in enumerate(shown):
        stances += [(image, 0, concept) for concept in row]
        absent = [concept for concept in range(len(CONCEPTS)) if concept not in row]
        if absent:
            stances.append((image, 1 + image % 2, absent[image % len(absent)]))
    relations = [(0, 0, 1), (1, 1, 0), (2, 0, 3), (3, 1, 2)]
    images = [GraphImage(f"I{n}", f"{n}.png", "Tiny", str(n), str(n)) for n in range(count)]
    known = Knowledge(
        images,
        [f"C000000{n}" for n in range(len(CONCEPTS))],
        CONCEPTS,
        RELATIONS,
        np.array(stances, dtype=np.int64),
        np.array(relations, dtype=np.int64),
    )
    return known, torch.stack([picture(row, seed * 1000 + n) for n, row in enumerate(shown)])


def backbone(seed: int = 0, *, frozen: bool = False) -> Backbone:
    """A tiny backbone whose tokenizer has read the reports."""
    tokenizer = small_tokenizer([report([n % 4], n) for n in range(20)], SIZES.vocabulary)
    return small_backbone(tokenizer, SIZES, seed, frozen=frozen)
