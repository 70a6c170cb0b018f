"""What frozen towers make of texts and images, computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.retrieval.inputs import IMAGES_PER_FILE, read_pictures, shifted, text_features
from kgp_models.towers.backbone import Backbone
from kgp_models.towers.feature_cache import file_keys, load_or_compute
from kgplatform.errors import InputError
from kgplatform.progress import Progress, no_progress

BLOCK: Final = 64  # images or texts in a batch
SIDE: Final = 4  # regions of an image's side: a projection of 49 regions takes most of a training's time


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts by the text tower: `vectors` (n, Dt), `words` (n, T, Dt), `mask` (n, T)."""

    vectors: Tensor
    words: Tensor
    mask: Tensor


@dataclass(frozen=True, eq=False)
class Images:
    """Images by the image tower: `vectors` (n, Di), `regions` (n, R, their width), 16 at most, as half floats, with R 0
    where they were not asked for; `row_by_name` is the row of each by its name.
    """

    vectors: Tensor
    regions: Tensor
    row_by_name: Mapping[str, int]


def encode_texts(backbone: Backbone, texts: Sequence[str], cache: Path | None = None) -> Texts:
    """What the frozen text tower makes of texts, from the cache where it is there."""
    return Texts(**load_or_compute(cache, backbone, ["texts", *texts], lambda: _texts(backbone, texts)))


@torch.no_grad()  # its output is trained on
def _texts(backbone: Backbone, texts: Sequence[str]) -> dict[str, Tensor]:
    text_vectors, word_vectors, word_masks = [], [], []
    for block_start in range(0, len(texts), BLOCK):
        tokens = backbone.tokens(list(texts[block_start : block_start + BLOCK]))
        text_vector, word_states, word_mask = backbone.text_words(tokens)
        text_vectors.append(text_vector.float())
        word_vectors.append(word_states.float())
        word_masks.append(word_mask)
    max_length = max(text_part.shape[1] for text_part in word_vectors)
    return {
        "vectors": torch.cat(text_vectors),
        "words": torch.cat(
            [functional.pad(text_part, (0, 0, 0, max_length - text_part.shape[1])) for text_part in word_vectors]
        ),
        "mask": torch.cat(
            [functional.pad(text_part, (0, max_length - text_part.shape[1])) for text_part in word_masks]
        ),
    }


def encode_text_vectors(backbone: Backbone, texts: Sequence[str], cache: Path | None = None) -> Tensor:
    """The texts' vectors alone, (n, Dt), from the cache where they are there."""

    def compute() -> dict[str, Tensor]:
        return {"vectors": text_features(backbone, texts).clone()}  # a tensor of inference mode cannot be trained on

    return load_or_compute(cache, backbone, ["vectors", *texts], compute)["vectors"]


def encode_images(
    backbone: Backbone,
    paths: Mapping[str, Path],
    cache: Path | None = None,
    progress: Progress = no_progress,
    *,
    regions: bool = True,
) -> Images:
    """What the frozen image tower makes of images, by name; those that cannot be read are reported and left out.

    What is in the cache is not read again. Raises `InputError` where no image can be read.
    """
    image_names = sorted(paths)
    image_parts: list[Mapping[str, Tensor]] = []
    readable_names: list[str] = []
    problem: InputError | None = None
    for block_start in range(0, len(image_names), IMAGES_PER_FILE):  # each stored separately, to continue after a kill
        block_names = image_names[block_start : block_start + IMAGES_PER_FILE]
        block_paths = [paths[image_name] for image_name in block_names]
        report_progress = partial(shifted, progress, block_start, len(image_names))
        read_block = partial(_images, backbone, block_paths, report_progress, regions=regions)
        try:
            image_parts.append(
                load_or_compute(cache, backbone, [f"images, regions {regions}", *file_keys(block_paths)], read_block)
            )
        except InputError as error:
            problem = error
        else:
            readable_names += [block_names[image_number] for image_number in image_parts[-1]["places"].tolist()]
    if not image_parts:
        raise problem or InputError("none of the images can be read", "Check the folder of images.")
    image_vectors, region_vectors = (
        torch.cat([image_part[part_key] for image_part in image_parts]) for part_key in ("vectors", "regions")
    )
    return Images(image_vectors, region_vectors, {image_name: index for index, image_name in enumerate(readable_names)})


@torch.no_grad()  # its output is trained on
def _images(backbone: Backbone, paths: Sequence[Path], progress: Progress, *, regions: bool) -> dict[str, Tensor]:
    loaded_images = read_pictures(paths, backbone.picture, None, progress)
    vector_blocks, region_blocks = [], []
    for pixel_block in torch.split(loaded_images.values, BLOCK):
        block_vectors, block_regions = backbone.image_regions(pixel_block)
        vector_blocks.append(block_vectors.float())
        region_blocks.append((fewer(block_regions) if regions else block_regions[:, :0]).half())
    return {
        "vectors": torch.cat(vector_blocks),
        "regions": torch.cat(region_blocks),
        "places": torch.tensor(loaded_images.readable),
    }


def fewer(regions: Tensor) -> Tensor:
    """Regions in rows of a square (B, R, D) as those of a square of `SIDE` a side at most, each the mean of its
    part.
    """
    image_count, region_count, vector_width = regions.shape
    grid_side = math.isqrt(region_count)
    if grid_side <= SIDE or grid_side * grid_side != region_count:
        return regions
    region_grid = regions.transpose(1, 2).reshape(image_count, vector_width, grid_side, grid_side)
    return functional.adaptive_avg_pool2d(region_grid, SIDE).flatten(2).transpose(1, 2)
