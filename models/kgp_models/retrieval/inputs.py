"""What training is given: pictures in memory, reports as texts, and what is relevant to what."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from kgp_models.towers.backbone import Backbone, Picture, bfloat16_context
from kgp_models.towers.feature_cache import file_keys, load_or_compute
from kgp_models.towers.tokens import Tokens
from kgp_models.training.model_files import require_uncompressed
from kgplatform.datasets.pair_source import Pair
from kgplatform.datasets.pairs import pair_groups
from kgplatform.errors import InputError
from kgplatform.files import atomic_file
from kgplatform.progress import Progress, no_progress

logger = logging.getLogger(__name__)
READERS: Final = 2  # threads
IMAGES_PER_FILE: Final = 512  # images that are kept in one file: some seconds of reading
TEXTS_PER_FILE: Final = 1024
BLOCK: Final = 128  # images or texts in a batch without training


@dataclass(frozen=True, eq=False)
class Pictures:
    """Grey pictures (n, 1, size, size) in bytes, or features (n, width) of a frozen tower; `readable` are the places of
    the paths that could be read.
    """

    values: Tensor
    readable: Sequence[int]


def read_pictures(
    paths: Sequence[Path],
    picture: Picture,
    cache: Path | None = None,
    progress: Progress = no_progress,
    *,
    part: str = "",
) -> Pictures:
    """Read radiographs; those that cannot be are reported and left out. `cache` is a folder that keeps what was read,
    in blocks, so that one who is stopped goes on.

    Raises `InputError` where none can be read; of a single image, the one that says why.
    """
    pixel_blocks, image_numbers = [], []
    with ThreadPoolExecutor(READERS) as thread_pool:
        for block_start in range(0, len(paths), IMAGES_PER_FILE):
            block_paths = paths[block_start : block_start + IMAGES_PER_FILE]
            block_path = None if cache is None else cache / f"{_key(block_paths, picture)}.npz"
            report_progress = partial(shifted, progress, block_start, len(paths))
            block_pictures = None if block_path is None else _read_cached(block_path, picture.size, len(block_paths))
            if block_pictures is None:
                block_pictures = _block(thread_pool, block_paths, picture, report_progress, part, alone=len(paths) == 1)
                if block_path is not None and block_pictures.readable:
                    _write_cached(block_path, block_pictures)
            pixel_blocks += [block_pictures.values] if block_pictures.readable else []
            image_numbers += [block_start + image_number for image_number in block_pictures.readable]
    if not pixel_blocks:
        raise InputError("none of the images can be read", "Check the folder of images.")
    return Pictures(torch.cat(pixel_blocks), image_numbers)


def _read_cached(block_path: Path, image_size: int, max_count: int) -> Pictures | None:
    """What was kept of a block of at most so many pictures; None where there is nothing, or something damaged."""
    if not block_path.exists():
        return None
    try:
        with np.load(require_uncompressed(block_path)) as archive:
            pixels, image_numbers = torch.from_numpy(archive["values"]), archive["kept"].tolist()
    except Exception:  # noqa: BLE001  whatever numpy and zip make of a damaged file
        return None
    is_complete = pixels.dtype == torch.uint8 and pixels.shape == (len(image_numbers), 1, image_size, image_size)
    return (
        Pictures(pixels, image_numbers)
        if is_complete and image_numbers == sorted({*image_numbers} & {*range(max_count)})
        else None
    )


def _block(
    thread_pool: Executor, image_paths: Sequence[Path], picture: Picture, progress: Progress, part: str, *, alone: bool
) -> Pictures:
    """A block of images, read; of one that is `alone` the problem is raised."""
    pixel_tensors, image_numbers = [], []
    for image_number, read_result in enumerate(
        thread_pool.map(lambda image_path: _read(picture, image_path), image_paths)
    ):
        progress(image_number + 1, len(image_paths))
        if isinstance(read_result, Tensor):
            pixel_tensors.append(read_result)
            image_numbers.append(image_number)
        else:
            if alone:
                raise read_result
            logger.warning(f"{_part_prefix(part)}left out: {read_result.message}")
    return Pictures(torch.stack(pixel_tensors) if pixel_tensors else torch.empty(0), image_numbers)


def _part_prefix(part: str) -> str:
    """How a message about a part of the data begins."""
    return f"{part}: " if part else ""


def shifted(progress: Progress, start: int, total: int, done: int, _: int | None) -> None:
    """Tell of a block's progress as of that of all."""
    progress(start + done, total)


def _read(picture: Picture, image_path: Path) -> Tensor | InputError:
    try:
        return picture.read(image_path)
    except InputError as error:
        return error


def _key(image_paths: Sequence[Path], picture: Picture) -> str:
    """A name for these files in their present state: paths, sizes and times of change."""
    digest = hashlib.sha256(str(picture.size).encode())
    for image_path in image_paths:
        file_stat = image_path.stat() if image_path.is_file() else None
        digest.update(f"\0{image_path}\0{file_stat and (file_stat.st_size, file_stat.st_mtime_ns)}".encode())
    return digest.hexdigest()[:32]


def _write_cached(block_path: Path, block_pictures: Pictures) -> None:
    with atomic_file(block_path) as partial_path, partial_path.open("wb") as output_file:
        np.savez(
            output_file, values=block_pictures.values.numpy(), kept=np.array(block_pictures.readable, dtype=np.int64)
        )


@dataclass(frozen=True, eq=False)
class PairExamples:
    """Pairs to train or test with: `images` are pictures or features, `groups` (n,) are the same for equal reports."""

    images: Tensor
    texts: Sequence[str] = field(repr=False)
    groups: Tensor
    pairs: Sequence[Pair]
    text_features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def text_inputs(self, rows: Tensor, backbone: Backbone) -> Tokens | Tensor:
        """The texts of rows as a backbone takes them."""
        if self.text_features is not None:
            return self.text_features[rows]
        return backbone.tokens([self.texts[row_number] for row_number in rows.tolist()])


def examples(
    pairs: Sequence[Pair],
    backbone: Backbone,
    cache: Path | None = None,
    progress: Progress = no_progress,
    *,
    part: str = "",
) -> PairExamples:
    """Read the pairs' images. Of a frozen backbone the features are computed once and kept."""
    loaded_images = read_pictures([pair.path for pair in pairs], backbone.picture, cache, progress, part=part)
    readable_pairs = [pairs[pair_number] for pair_number in loaded_images.readable]
    report_texts = [pair.text for pair in readable_pairs]
    warn_truncated(backbone, report_texts, "reports", part)
    report_groups = torch.from_numpy(pair_groups(readable_pairs))
    if not backbone.frozen:
        return PairExamples(loaded_images.values, report_texts, report_groups, readable_pairs)
    return PairExamples(
        frozen_image_features(backbone, [pair.path for pair in readable_pairs], loaded_images.values, cache, progress),
        report_texts,
        report_groups,
        readable_pairs,
        frozen_text_features(backbone, report_texts, cache),
    )


def frozen_image_features(
    backbone: Backbone,
    paths: Sequence[Path],
    values: Tensor,
    cache: Path | None = None,
    progress: Progress = no_progress,
) -> Tensor:
    """What a frozen tower makes of the pictures (n, 1, size, size) of files: (n, width), from the cache where they are
    there. It is kept in blocks, so that one who is stopped goes on.
    """
    features = []
    for start in range(0, len(paths), IMAGES_PER_FILE):
        block = values[start : start + IMAGES_PER_FILE]
        compute = partial(image_features, backbone, block, partial(shifted, progress, start, len(paths)))
        identifiers = ["images", *file_keys(paths[start : start + IMAGES_PER_FILE])]
        features.append(load_or_compute(cache, backbone, identifiers, partial(_named, compute))["vectors"])
    return torch.cat(features)


def frozen_text_features(backbone: Backbone, texts: Sequence[str], cache: Path | None) -> Tensor:
    """What a frozen tower makes of texts: (n, width); of equal texts once, and in blocks, as of images."""
    distinct_texts = sorted(set(texts))
    features = []
    for start in range(0, len(distinct_texts), TEXTS_PER_FILE):
        block = distinct_texts[start : start + TEXTS_PER_FILE]
        compute = partial(text_features, backbone, block)
        identifiers = [f"texts of {backbone.tokens.token_limit} tokens", *block]
        features.append(load_or_compute(cache, backbone, identifiers, partial(_named, compute))["vectors"])
    rows = {text: row for row, text in enumerate(distinct_texts)}
    return torch.cat(features)[[rows[text] for text in texts]]


def _named(compute: Callable[[], Tensor]) -> Mapping[str, Tensor]:
    return {"vectors": compute()}


def warn_truncated(backbone: Backbone, texts: Sequence[str], text_kind: str, part: str = "") -> None:
    """Tell how many texts have more tokens than are read in training, where they are not read in parts."""
    if long_count := backbone.tokens.longer(texts):
        logger.warning(
            f"{_part_prefix(part)}{long_count:,} of {len(texts):,} {text_kind} are longer than the "
            f"{backbone.tokens.token_limit} tokens that are read: their ends are left out"
        )


@torch.inference_mode()
def image_features(backbone: Backbone, values: Tensor, progress: Progress = no_progress) -> Tensor:
    """What the frozen tower makes of pictures (n, 1, size, size): (n, width)."""
    return _by_blocks(backbone, values, backbone.image_features, progress)


@torch.inference_mode()
def text_features(backbone: Backbone, texts: Sequence[str]) -> Tensor:
    """What the frozen tower makes of texts: (n, width)."""
    return _by_blocks(backbone, texts, backbone.text_features)


@torch.inference_mode()
def image_embeddings(backbone: Backbone, values: Tensor) -> Tensor:
    """(n, 512), of length 1, of pictures or features."""
    return _by_blocks(backbone, values, backbone.embed_images)


@torch.inference_mode()
def text_embeddings(backbone: Backbone, texts_or_features: Sequence[str] | Tensor) -> Tensor:
    """(n, 512), of length 1, of texts or their features."""
    return _by_blocks(backbone, texts_or_features, backbone.embed_texts)


def _by_blocks(
    backbone: Backbone,
    inputs: Sequence[str] | Tensor,
    encode: Callable[[Any], Tensor],
    progress: Progress = no_progress,
) -> Tensor:
    """What `encode` makes of all, in blocks, with the backbone as in evaluation; then it is as it was."""
    was_training, device, output_blocks = backbone.training, next(backbone.parameters()).device, []
    backbone.eval()
    for block_start in range(0, len(inputs), BLOCK):
        block = inputs[block_start : block_start + BLOCK]
        block_input: Any = (
            block.to(device)
            if isinstance(block, Tensor)
            else {input_name: tensor.to(device) for input_name, tensor in backbone.tokens(block).items()}
        )
        with bfloat16_context(device):
            output_blocks.append(encode(block_input).float().cpu())
        progress(min(block_start + BLOCK, len(inputs)), len(inputs))
    backbone.train(was_training)
    return torch.cat(output_blocks).clone()
