"""A retrieval model's training as data: read from YAML, checked at the edge, frozen. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from kgp_models.retrieval.fashionklip import FashionSettings
from kgp_models.retrieval.knowledgeclip import KnowledgeSettings
from kgp_models.towers.small_backbone import SmallSizes
from kgp_models.towers.spec import TowerSpec
from kgplatform.errors import InputError
from kgplatform.yaml_settings import (
    Flag,
    NonNegativeNumber,
    PositiveInteger,
    PositiveNumber,
    Text,
    YAMLSettings,
)


@dataclass(frozen=True)
class FineTuning:
    """The training on pairs: AdamW (MedMKG appendix J); batch, clipping and temperature as in the released code.

    Neither says what the schedule and the weight decay are and whether images are varied.
    """

    learning_rate: PositiveNumber = 1e-4
    epochs: PositiveInteger = 30
    patience: PositiveInteger = 3
    """Epochs without a better recall of the validation part, after which training stops."""
    batch: PositiveInteger = 128
    weight_decay: NonNegativeNumber = 0.01
    clip: PositiveNumber = 1.0
    """Of the gradient's norm."""
    warmup: NonNegativeNumber = 0.0
    """Epochs before the schedule."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Constant, or a cosine's fall."""
    varied: Flag = True
    """Whether images are turned, moved, scaled and made lighter; never mirrored, as sides count."""


@dataclass(frozen=True)
class RetrievalSettings(YAMLSettings):
    """A model: the backbone, whether its towers are frozen, the method and how it reads the graph."""

    examples: ClassVar = "benchmarks/retrieval/settings/"

    backbone: Text = "small"
    frozen: Flag = False
    """Whether the backbone's towers are frozen."""
    stances: Flag = False
    """Whether the links that construction reads in a text are read next to its words; for images:FOLDER alone."""
    method: Literal["backbone", "fashionklip", "knowledgeclip"] = "backbone"
    graph: Literal["full", "empty", "shuffled", "no-stance"] = "full"
    """How the method reads the graph."""
    small: SmallSizes = field(default_factory=SmallSizes)
    tuning: FineTuning = field(default_factory=FineTuning)
    fashion: FashionSettings = field(default_factory=FashionSettings)
    knowledge: KnowledgeSettings = field(default_factory=KnowledgeSettings)

    def check(self) -> None:
        """Raise `InputError` for values that do not go together."""
        if self.stances and TowerSpec.parse(self.backbone).kind != "images":
            raise InputError("stances goes with a backbone images:FOLDER alone", "Leave it out, or train an encoder.")
        if self.small.pixels % 32 or self.small.hidden % self.small.heads:
            raise InputError(
                "small.pixels is not a multiple of 32, or small.hidden not a multiple of small.heads", "It must be."
            )
        selection_counts = (self.fashion.nearest, self.fashion.prototypes, self.fashion.candidates)
        if list(selection_counts) != sorted(selection_counts) or self.fashion.diversity > 1:
            message = "fashion: nearest is more than prototypes, these more than candidates, or diversity more than 1"
            raise InputError(message, "Check them.")
        if "{}" not in self.fashion.prompt or "{}" not in self.knowledge.prompt:
            raise InputError("a prompt has no {}, where the concept's name goes", "Add it to the prompt.")
