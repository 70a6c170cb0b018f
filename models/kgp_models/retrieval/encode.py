"""Backbones as `kgplatform.search.encoder.Encoder`: radiographs and texts in batches, vectors in numpy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.retrieval import checkpoint
from kgp_models.towers import vision
from kgp_models.towers.backbone import WIDTH, Backbone, Picture
from kgp_models.towers.backbones import TEXT_KINDS, TextTower, open_backbone, open_text
from kgp_models.towers.small_backbone import KIND as SMALL
from kgp_models.towers.spec import TowerSpec
from kgp_models.towers.tokens import Tokenize, in_parts, tokens_on
from kgplatform.errors import UsageError
from kgplatform.search.encoder import Encoder, Reading
from kgplatform.trained_on import UNKNOWN, TrainedOn

BATCH: Final = 32
SEED: Final = 0  # of untrained heads

_T = TypeVar("_T")


def open_encoder(spec: str, device: str = "cpu") -> Encoder:
    """The encoder in a folder of `kgp train retrieval`, ``small`` (which comes with the package), ``clip:FOLDER``,
    ``open-clip:FOLDER`` or ``offline``, or of texts alone: ``minilm``, ``transformer:FOLDER``.

    The heads of ``offline`` are random, but the same each time. Raises as `open_backbone` does.
    """
    if TowerSpec.parse(spec).kind in TEXT_KINDS:
        return TextEncoder(open_text(spec), device)
    if spec == SMALL or Path(spec).is_dir():
        return BackboneEncoder(
            checkpoint.load_retrieval_model(checkpoint.SHIPPED if spec == SMALL else Path(spec)), device
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        backbone = open_backbone(spec)
    return BackboneEncoder(backbone, device)


class BackboneEncoder:
    """A backbone as an encoder; it may be in training, and stays so. It is moved to the device."""

    sees: Final = True
    width: Final = WIDTH

    def __init__(self, backbone: Backbone, device: str = "cpu", batch: int = BATCH) -> None:
        self.backbone = backbone.to(device)
        self.device = torch.device(device)
        self.batch = batch

    @property
    def trained_on(self) -> TrainedOn:
        """The data sets of its training."""
        return self.backbone.trained_on

    @property
    def name(self) -> str:
        """Kind and the first 8 digits of the hash."""
        return f"{self.backbone.kind}-{self.sha256[:8]}"

    @property
    def sha256(self) -> str:
        """The hash of kind, picture and weights, at present: all of them are read for it."""
        return _sha256(self.backbone.kind, self.backbone, self.backbone.picture)

    def reading(self, text: str) -> Reading:
        """How the text is read."""
        return _reading(self.backbone.tokens, text)

    def images(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        """The vectors of radiographs, (n, 512), of length 1. Raises `InputError` naming the file."""

        def embed(path_batch: Sequence[Path]) -> Tensor:
            grey_images = torch.stack([self.backbone.picture.read(image_path) for image_path in path_batch])
            return self.backbone.embed_images(grey_images.to(self.device))

        return _vectors(self.backbone, paths, embed, self.batch, self.width)

    def unlike(self, vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which vectors of images are unlike all images of the training, (n,); none, where these are not known."""
        reference = self.backbone.reference
        if reference is None or not len(vectors):
            return np.zeros(len(vectors), dtype=np.bool_)
        is_unlike: NDArray[np.bool_] = (reference.distances(torch.from_numpy(vectors)) > reference.threshold).numpy()
        return is_unlike

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, (n, 512), of length 1; of a longer text the mean of its parts'."""

        def embed(text_batch: Sequence[str]) -> Tensor:
            tokens = self.backbone.tokens
            return in_parts(
                tokens,
                text_batch,
                lambda text_parts: self.backbone.embed_texts(tokens_on(tokens(text_parts), self.device)),
            )

        return _vectors(self.backbone, texts, embed, self.batch, self.width)


class TextEncoder:
    """A text tower alone as an encoder; its vectors have the tower's width. It is moved to the device."""

    sees: Final = False
    trained_on: Final = UNKNOWN

    def __init__(self, tower: TextTower, device: str = "cpu", batch: int = BATCH) -> None:
        self.tower = tower
        self.module = tower.module.to(device)
        self.device = torch.device(device)
        self.batch = batch

    @property
    def width(self) -> int:
        """Of the vectors."""
        return self.tower.width

    @property
    def name(self) -> str:
        """Kind and the first 8 digits of the hash."""
        return f"{self.tower.kind}-{self.sha256[:8]}"

    @property
    def sha256(self) -> str:
        """The hash of kind and weights: all of them are read for it."""
        return _sha256(self.tower.kind, self.module, None)

    def reading(self, text: str) -> Reading:
        """How the text is read."""
        return _reading(self.tower.tokens, text)

    def images(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        """None: raises `UsageError`."""
        raise UsageError(f"{self.tower.kind} encodes texts only", "Use a backbone that encodes images.")

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, (n, width), of length 1; of a longer one as `BackboneEncoder` does."""

        def embed(text_batch: Sequence[str]) -> Tensor:
            tokens = self.tower.tokens

            def vectors(text_parts: Sequence[str]) -> Tensor:
                tower_output: Tensor = self.module(**tokens_on(tokens(text_parts), self.device))
                return functional.normalize(tower_output.float(), dim=-1)

            return in_parts(tokens, text_batch, vectors)

        return _vectors(self.module, texts, embed, self.batch, self.width)


def _reading(tokens: Tokenize, text: str) -> Reading:
    token_count = tokens.count(text)
    return Reading(
        token_count, tokens.token_limit, tuple(tokens.parts(text)) if token_count > tokens.token_limit else (text,)
    )


def _sha256(kind: str, module: nn.Module, picture: Picture | None) -> str:
    return hashlib.sha256(f"{kind}\n{picture}\n{vision.weights_sha256(module)}".encode()).hexdigest()


def _vectors(
    module: nn.Module, inputs: Sequence[_T], embed: Callable[[Sequence[_T]], Tensor], batch_size: int, width: int
) -> NDArray[np.float32]:
    with _evaluated(module), torch.inference_mode():
        vector_batches = [
            embed(inputs[batch_start : batch_start + batch_size]).cpu().numpy()
            for batch_start in range(0, len(inputs), batch_size)
        ]
    return np.concatenate(vector_batches) if vector_batches else np.empty((0, width), dtype=np.float32)


@contextmanager
def _evaluated(module: nn.Module) -> Iterator[None]:
    """The module in evaluation; then each part as it was."""
    previous_modes = [(submodule, submodule.training) for submodule in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for submodule, was_training in previous_modes:
            submodule.training = was_training
