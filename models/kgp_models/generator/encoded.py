"""The vectors of a training's images: the vision encoder is frozen, so they are computed once, and kept in files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from kgp_models import model_files
from kgp_models.generator import vision as vision_of
from kgp_models.generator.records import Study
from kgp_models.generator.train_vision import readable
from kgp_models.generator.vision import Vision
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped, checkpoints

if TYPE_CHECKING:
    from kgp_models.generator.train import Work

ENCODED_AT_A_TIME: Final = 64


def encoded(vision: Vision, with_image: Sequence[Study], cache: Path, work: Work) -> tuple[list[Study], Tensor]:
    """The studies whose images can be read, and the images' vectors, (studies, width); the encoder is frozen, so they
    are computed once. `cache` keeps them, by the minute.

    Raises `InputError` where there is none, and `Stopped` on an interrupt.
    """
    identity = json.dumps([vision_of.sha256(vision.module), [study.id for study in with_image]])
    parts = cache / f"encoded-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    vectors = [torch.zeros(0, vision.width)]
    rows: list[int] = []
    for path in sorted(parts.glob("*.safetensors")):
        saved = model_files.read_kept(path)
        if saved is None:  # damaged: its images are encoded again
            path.unlink(missing_ok=True)
            continue
        vectors.append(saved["vectors"])
        rows += saved["rows"].tolist()
    if len(rows) < len(with_image):
        for new in _encode(vision, with_image, rows, parts, work):
            vectors.append(new["vectors"])
            rows += new["rows"].tolist()
    if not rows:
        raise InputError("no study of the training has an image that can be read", "Check data.images.", path=work.base)
    order = torch.tensor(rows).argsort()
    return [with_image[row] for row in sorted(rows)], torch.cat(vectors)[order]


def _encode(
    vision: Vision, with_image: Sequence[Study], known: Sequence[int], folder: Path, work: Work
) -> Iterator[dict[str, Tensor]]:
    """Encode the images whose rows are not `known`, and save them: vectors and rows of about a minute in each file."""
    left = sorted({*range(len(with_image))} - {*known})
    if known:
        work.told(f"images encoded: {len(known):,} of {len(with_image):,} are there already")
    vision.module.to(work.device)
    tell = work.progress("images encoded")
    pairs = readable([with_image[row] for row in left], vision.pixels, work.told, len(known))
    done, number = len(known), max((int(path.stem) for path in folder.glob("*.safetensors")), default=-1) + 1
    unsaved: list[tuple[list[int], Tensor]] = []
    with checkpoints() as when:
        while chunk := list(islice(pairs, ENCODED_AT_A_TIME)):
            vectors = vision.encode([pixels for _, pixels in chunk]).cpu()
            unsaved.append(([left[row] for row, _ in chunk], vectors))
            done += len(chunk)
            tell(done, len(with_image))
            if when.due() or len(chunk) < ENCODED_AT_A_TIME:
                yield _save_encoded(unsaved, folder / f"{number:06}.safetensors")
                unsaved, number = [], number + 1
                when.saved()
            if when.stopping:
                raise Stopped(f"stopped after {done:,} of {len(with_image):,} images were encoded, saved in {folder}")
        if unsaved:
            yield _save_encoded(unsaved, folder / f"{number:06}.safetensors")
    vision.module.cpu()


def _save_encoded(unsaved: Sequence[tuple[list[int], Tensor]], path: Path) -> dict[str, Tensor]:
    rows = torch.tensor([row for chunk, _ in unsaved for row in chunk])
    made = {"rows": rows, "vectors": torch.cat([vectors for _, vectors in unsaved])}
    model_files.save_whole(made, path)
    return made
