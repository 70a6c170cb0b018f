"""A VQA model's training as data: read from YAML, checked at the edge, frozen. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from kgplatform.errors import InputError
from kgplatform.yaml_settings import (
    Flag,
    NonNegativeNumber,
    PositiveInteger,
    PositiveNumber,
    Text,
    YAMLSettings,
)

METHODS: Final = ("base", "question-only", "image-only", "krisp", "mkbn", "k-pathvqa", "ekgrl", "mr-mkg")
PLAIN: Final = ("base", "question-only", "image-only")  # that read no graph


@dataclass(frozen=True)
class Tuning:
    """AdamW, rate 1e-4, at most 30 epochs, patience 3 (MedMKG appendix J and K); batch and clipping as in its code."""

    learning_rate: PositiveNumber = 1e-4
    epochs: PositiveInteger = 30
    patience: PositiveInteger = 3
    """Epochs that are no better on the validation part, after which training stops."""
    batch: PositiveInteger = 64
    weight_decay: NonNegativeNumber = 0.01
    clip: PositiveNumber = 1.0
    """Of the gradient's norm."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Constant, a cosine's fall to 0, or plateau: times 0.8, to 1e-6 at least, when the validation's loss has not
    fallen for 4 epochs, as in MedMKG's code."""
    by: Literal["loss", "accuracy"] = "loss"
    """What epochs are compared by on the validation part."""


@dataclass(frozen=True)
class VQASettings(YAMLSettings):
    """A model: the frozen backbone, the method, how the graph is read, and the widths of layers."""

    examples: ClassVar = "benchmarks/vqa/settings/"

    backbone: Text = "offline"
    """The frozen backbone."""
    method: Literal["base", "question-only", "image-only", "krisp", "mkbn", "k-pathvqa", "ekgrl", "mr-mkg"] = "base"
    graph: Literal["full", "empty", "shuffled", "no-stance"] = "full"
    """How the graph is read."""
    hops: PositiveInteger = 1
    """1 or 2."""
    cap: PositiveInteger = 64
    """Edges of a subgraph."""
    images: Flag = True
    """Whether images, and so stances, are part of a subgraph."""
    hidden: PositiveInteger = 512
    width: PositiveInteger = 128
    """Width of the graph's states."""
    layers: PositiveInteger = 2
    dropout: NonNegativeNumber = 0.1
    """Dropout of image and question."""
    graph_dropout: NonNegativeNumber = 0.1
    """Dropout where the graph is read."""
    align: NonNegativeNumber = 0.1
    """λ of MR-MKG's alignment."""
    tuning: Tuning = field(default_factory=Tuning)

    def check(self) -> None:
        """Raise `InputError` for values that do not go together."""
        if self.hops > 2:
            raise InputError("hops is more than 2", "Use 1 or 2.")
        if self.width % 4 or self.hidden % 4:
            raise InputError("width or hidden is not a multiple of 4", "There are four heads.")
        if max(self.dropout, self.graph_dropout) >= 1:
            raise InputError("a dropout is 1 or more", "It is a share.")
