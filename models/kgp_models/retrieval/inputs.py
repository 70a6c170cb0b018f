"""What training is given: pictures in memory, reports as texts, and what is relevant to what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from kgp_models.model_files import require_uncompressed
from kgp_models.retrieval.backbone import Backbone, Picture, quick
from kgp_models.retrieval.tokens import Tokens
from kgplatform.errors import InputError
from kgplatform.files import caching
from kgplatform.retrieval.pairs import Pair, groups

Progress = Callable[[int, int | None], None]
Told = Callable[[str], None]
READERS: Final = 2  # threads
KEPT: Final = 512  # images that are kept in one file: some seconds of reading
BLOCK: Final = 128  # pictures or texts at a time, where nothing is learnt


@dataclass(frozen=True, eq=False)
class Pictures:
    """Grey pictures (n, 1, size, size) in bytes, or features (n, width) of a frozen tower; `kept` are the places of the
    paths that could be read.
    """

    values: Tensor
    kept: Sequence[int]


def read_pictures(
    paths: Sequence[Path],
    picture: Picture,
    cache: Path | None = None,
    told: Told = lambda _: None,
    progress: Progress = lambda done, total: None,
) -> Pictures:
    """Read radiographs; those that cannot be are told and left out. `cache` is a folder that keeps what was read, in
    blocks, so that one who is stopped goes on.

    Raises `InputError` where none can be read; of a single image, the one that says why.
    """
    values, places = [], []
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(paths), KEPT):
            block = paths[start : start + KEPT]
            place = None if cache is None else cache / f"{_key(block, picture)}.npz"
            tell = partial(shifted, progress, start, len(paths))
            read = None if place is None else _kept(place, picture.size, len(block))
            if read is None:
                read = _block(pool, block, picture, told, tell, alone=len(paths) == 1)
                if place is not None and read.kept:
                    _keep(place, read)
            values += [read.values] if read.kept else []
            places += [start + number for number in read.kept]
    if not values:
        raise InputError("none of the images can be read", "Check the folder of images.")
    return Pictures(torch.cat(values), places)


def _kept(place: Path, size: int, most: int) -> Pictures | None:
    """What was kept of a block of at most so many pictures; None where there is nothing, or something damaged."""
    if not place.exists():
        return None
    try:
        with np.load(require_uncompressed(place)) as found:
            values, kept = torch.from_numpy(found["values"]), found["kept"].tolist()
    except Exception:  # noqa: BLE001  whatever numpy and zip make of a damaged file
        return None
    whole = values.dtype == torch.uint8 and values.shape == (len(kept), 1, size, size)
    return Pictures(values, kept) if whole and kept == sorted({*kept} & {*range(most)}) else None


def _block(
    pool: Executor, paths: Sequence[Path], picture: Picture, told: Told, progress: Progress, *, alone: bool
) -> Pictures:
    """A block of images, read; of one that is `alone` the problem is raised."""
    values, places = [], []
    for number, found in enumerate(pool.map(lambda path: _read(picture, path), paths)):
        progress(number + 1, len(paths))
        if isinstance(found, Tensor):
            values.append(found)
            places.append(number)
        else:
            if alone:
                raise found
            told(f"left out: {found.message}")
    return Pictures(torch.stack(values) if values else torch.empty(0), places)


def shifted(progress: Progress, start: int, total: int, done: int, _: int | None) -> None:
    """Tell of a block's progress as of that of all."""
    progress(start + done, total)


def _read(picture: Picture, path: Path) -> Tensor | InputError:
    try:
        return picture.read(path)
    except InputError as error:
        return error


def _key(paths: Sequence[Path], picture: Picture) -> str:
    """A name for these files as they are: paths, sizes and times of change."""
    digest = hashlib.sha256(str(picture.size).encode())
    for path in paths:
        found = path.stat() if path.is_file() else None
        digest.update(f"\0{path}\0{found and (found.st_size, found.st_mtime_ns)}".encode())
    return digest.hexdigest()[:32]


def _keep(place: Path, read: Pictures) -> None:
    with caching(place) as staged, staged.open("wb") as file:
        np.savez(file, values=read.values.numpy(), kept=np.array(read.kept, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Examples:
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
        return backbone.tokens([self.texts[row] for row in rows.tolist()])


def examples(
    pairs: Sequence[Pair],
    backbone: Backbone,
    cache: Path | None = None,
    told: Told = lambda _: None,
    progress: Progress = lambda done, total: None,
) -> Examples:
    """Read the pairs' images. Of a frozen backbone the features are computed once and kept."""
    read = read_pictures([pair.path for pair in pairs], backbone.picture, cache, told, progress)
    kept = [pairs[place] for place in read.kept]
    texts = [pair.text for pair in kept]
    tell_longer(backbone, texts, "reports", told)
    ids = torch.from_numpy(groups(kept))
    if not backbone.frozen:
        return Examples(read.values, texts, ids, kept)
    return Examples(image_features(backbone, read.values, progress), texts, ids, kept, text_features(backbone, texts))


def tell_longer(backbone: Backbone, texts: Sequence[str], what: str, told: Told) -> None:
    """Tell how many texts have more tokens than are read in training, where they are not read in parts."""
    if longer := backbone.tokens.longer(texts):
        told(
            f"{longer:,} of {len(texts):,} {what} are longer than the {backbone.tokens.longest} tokens that are read: "
            "their ends are left out"
        )


@torch.inference_mode()
def image_features(backbone: Backbone, values: Tensor, progress: Progress = lambda done, total: None) -> Tensor:
    """What the frozen tower makes of pictures (n, 1, size, size): (n, width)."""
    return _by_blocks(backbone, values, backbone.image_features, progress)


@torch.inference_mode()
def text_features(backbone: Backbone, texts: Sequence[str]) -> Tensor:
    """What the frozen tower makes of texts: (n, width)."""
    return _by_blocks(backbone, texts, backbone.text_features)


@torch.inference_mode()
def vectors_of_images(backbone: Backbone, values: Tensor) -> Tensor:
    """(n, 512), of length 1, of pictures or features."""
    return _by_blocks(backbone, values, backbone.embed_images)


@torch.inference_mode()
def vectors_of_texts(backbone: Backbone, given: Sequence[str] | Tensor) -> Tensor:
    """(n, 512), of length 1, of texts or their features."""
    return _by_blocks(backbone, given, backbone.embed_texts)


def _by_blocks(
    backbone: Backbone,
    given: Sequence[str] | Tensor,
    run: Callable[[Any], Tensor],
    progress: Progress = lambda done, total: None,
) -> Tensor:
    """What `run` makes of all, in blocks, with the backbone as in evaluation; then it is as it was."""
    was, device, rows = backbone.training, next(backbone.parameters()).device, []
    backbone.eval()
    for start in range(0, len(given), BLOCK):
        block = given[start : start + BLOCK]
        put: Any = (
            block.to(device)
            if isinstance(block, Tensor)
            else {name: value.to(device) for name, value in backbone.tokens(block).items()}
        )
        with quick(device):
            rows.append(run(put).float().cpu())
        progress(min(start + BLOCK, len(given)), len(given))
    backbone.train(was)
    return torch.cat(rows).clone()
