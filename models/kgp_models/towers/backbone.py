"""A vision-language backbone: an image tower and a text tower whose vectors meet in one space of 512 dimensions.

All backbones (small, CLIP, PubMedCLIP, BiomedCLIP, MedCSPCLIP, the offline one) are this class with other towers, so
that training, methods and embedding know one interface. A frozen backbone's towers are run once (`features`), and only
its heads are trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from kgp_models.towers.tokens import STANCES, Tokenize, Tokens
from kgp_models.training.precision import is_bfloat16_faster
from kgp_models.training.reference_vectors import ReferenceVectors
from kgplatform import radiograph
from kgplatform.trained_on import TrainedOn

WIDTH: Final = 512  # of the common space (MedMKG appendix I)
MAX_TOKENS: Final = 77  # tokens of a text in retrieval (ibidem)
TEMPERATURE: Final = 0.07  # at the start, as CLIP's
MAX_SCALE: Final = 100.0  # of the scale, as CLIP's
ALIKE: Final = 16  # texts of like length that go through a tower together


@dataclass(frozen=True, eq=False)
class LinkLayer:
    """The layer of an image encoder that tells links, (stance, CUI, name of the concept): `weight` (links, width) and
    `bias` (links,) make their logits of the image tower's vectors. `shares` (links,) are of the training images.
    """

    links: Sequence[tuple[str, str, str]]
    shares: Tensor
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Picture:
    """What an image tower is given: a grey square of `size` pixels a side, in [0, 1], then by mean and SD.

    As many channels as there are means; they are the same but for these.
    """

    size: int
    mean: tuple[float, ...] = (0.5,)
    deviation: tuple[float, ...] = (0.5,)

    def read(self, path: Path, *, blank: bool = True) -> Tensor:
        """A radiograph as grey values in bytes, (1, size, size): the whole picture, padded.

        Raises `InputError`, without `blank` also for an image that shows nothing.
        """
        grey_image = radiograph.square(radiograph.read_radiograph(path, self.size, blank=blank), self.size)
        return torch.from_numpy(np.asarray(grey_image, dtype=np.uint8)[None].copy())

    def scaled(self, grey: Tensor) -> Tensor:
        """Grey values, bytes or from 0 to 255, (B, 1, size, size), as the tower's input, (B, channels, size, size)."""
        mean, deviation = (
            torch.tensor(statistic, device=grey.device).view(1, -1, 1, 1) for statistic in (self.mean, self.deviation)
        )
        return (grey.float() / 255.0 - mean) / deviation


class Backbone(nn.Module):
    """Towers, and the heads that bring their vectors to the common space.

    A head is the identity where its tower's vectors have 512 dimensions and are trained, too; otherwise it is linear,
    at the start the identity where that can be.
    """

    def __init__(
        self,
        kind: str,
        image_tower: nn.Module,
        text_tower: nn.Module,
        widths: tuple[int, int],
        picture: Picture,
        tokens: Tokenize,
        *,
        frozen: bool = False,
    ) -> None:
        """`image_tower` maps (B, channels, size, size) to (B, widths[0]); `text_tower` maps tokens, given by name, to
        (B, widths[1]); `tokens` cuts a text after 77 of them.
        """
        super().__init__()
        self.kind = kind
        self.trained_on: TrainedOn = ()  # of a new one nothing yet
        self.reference: ReferenceVectors | None = None  # of the training's images, in the common space
        self.link_layer: LinkLayer | None = None  # what the image tower was trained to tell
        self.frozen = frozen
        self.picture = picture
        self.tokens = tokens
        self.image_tower, self.text_tower = image_tower, text_tower
        self.image_head, self.text_head = (new_head(width, trained=not frozen) for width in widths)
        self.text_width = widths[1]
        self.log_scale = nn.Parameter(torch.tensor(math.log(1.0 / TEMPERATURE)))
        if frozen:
            for tower in (image_tower, text_tower):
                tower.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Backbone:
        """Towers that are frozen stay as in evaluation."""
        super().train(mode)
        if self.frozen:
            self.image_tower.eval()
            self.text_tower.eval()
        return self

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by: the temperature's inverse."""
        return self.log_scale.exp()

    @torch.no_grad()
    def limit_scale(self) -> None:
        """Keep the scale from rising over 100, as CLIP does after each step."""
        self.log_scale.clamp_(max=math.log(MAX_SCALE))

    def image_features(self, grey: Tensor) -> Tensor:
        """What the image tower makes of grey values (B, 1, size, size)."""
        features: Tensor = self.image_tower(self.picture.scaled(grey).contiguous(memory_format=torch.channels_last))
        return features

    def text_features(self, tokens: Tokens) -> Tensor:
        """What the text tower makes of tokens: by texts of like length, so that little of the work is on padding."""
        attention_mask = tokens.get("attention_mask")
        if attention_mask is None or len(attention_mask) <= ALIKE:
            features: Tensor = self.text_tower(**tokens)
            return features
        text_lengths = attention_mask.shape[1] - attention_mask.flip(1).argmax(1)  # places up to a text's last word
        length_order = text_lengths.argsort(stable=True)
        feature_parts = [
            self.text_tower(
                **{
                    input_name: input_tensor[batch_rows]
                    if input_name == STANCES
                    else input_tensor[batch_rows, : int(text_lengths[batch_rows].max())]
                    for input_name, input_tensor in tokens.items()
                }
            )
            for batch_rows in torch.split(length_order, ALIKE)
        ]
        return torch.cat(feature_parts)[length_order.argsort()]

    def image_regions(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """`image_features`, and those of regions, (B, R, their width); of a tower that has none, the whole as one."""
        pixels = self.picture.scaled(grey).contiguous(memory_format=torch.channels_last)
        return _spread(self.image_tower, pixels)

    def text_words(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """`text_features`, those of words, (B, T, width), and where there is a word, (B, T); of a tower that has no
        words, the whole as one.
        """
        text_vectors, word_vectors = _spread(self.text_tower, **tokens)
        attention_mask = tokens.get("attention_mask")
        has_word = (
            attention_mask > 0
            if attention_mask is not None and word_vectors.shape[1] == attention_mask.shape[1]
            else word_vectors.new_ones(word_vectors.shape[:2]) > 0
        )
        return text_vectors, word_vectors, has_word

    def embed_images(self, model_inputs: Tensor) -> Tensor:
        """(B, 512), of length 1: from grey values (B, 1, size, size), or from features (B, width) of a frozen tower."""
        features = model_inputs if model_inputs.dim() == 2 else self.image_features(model_inputs)
        return functional.normalize(self.image_head(features.float()), dim=-1)

    def embed_texts(self, model_inputs: Tokens | Tensor) -> Tensor:
        """(B, 512), of length 1: from tokens, or from features (B, width) of a frozen tower."""
        features = model_inputs if isinstance(model_inputs, Tensor) else self.text_features(model_inputs)
        return functional.normalize(self.text_head(features.float()), dim=-1)


def _spread(tower: nn.Module, *inputs: Tensor, **named_inputs: Tensor) -> tuple[Tensor, Tensor]:
    spread_tower = getattr(tower, "spread", None)
    if spread_tower is None:
        vectors: Tensor = tower(*inputs, **named_inputs)
        return vectors, vectors.unsqueeze(1)
    spread_vectors: tuple[Tensor, Tensor] = spread_tower(*inputs, **named_inputs)
    return spread_vectors


def new_head(width: int, *, trained: bool) -> nn.Module:
    """What brings a tower's vectors to the common space; the identity where they are trained in it themselves."""
    if width == WIDTH and trained:
        return nn.Identity()
    linear_head = nn.Linear(width, WIDTH)
    if width == WIDTH:
        nn.init.eye_(linear_head.weight)
        nn.init.zeros_(linear_head.bias)
    return linear_head


def bfloat16_context(device: torch.device) -> torch.autocast:
    """A context of bfloat16 where it is several times as fast: on a GPU, and on processors with AMX."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16_faster(device.type))


@contextmanager
def plain_attention(hidden: Tensor) -> Iterator[None]:
    """On a CPU, attention as plain products: the fused kernel's backward pass is several times slower there."""
    if hidden.device.type != "cpu":
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield
