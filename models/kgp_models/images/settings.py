"""The training of an image encoder as data: read from YAML, checked at the edge, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kgplatform.errors import InputError
from kgplatform.schema import Stance
from kgplatform.yaml_settings import (
    Flag,
    NaturalInteger,
    NonNegativeNumber,
    PositiveInteger,
    PositiveNumber,
    Text,
    Texts,
    YAMLSettings,
)

STANCES = tuple(stance.value for stance in Stance)


@dataclass(frozen=True)
class ImageSettings(YAMLSettings):
    """The backbone, which links are learnt, and how."""

    examples: ClassVar = "benchmarks/images/settings/"

    backbone: Text = "offline"
    """The backbone whose image tower is trained: offline, small, clip:FOLDER, open-clip:FOLDER, model:FOLDER."""
    pixels: NaturalInteger = 0
    """Side of a picture; 0 is the backbone's own. Smaller ones take less time, if the backbone takes them (offline)."""
    stances: Texts = STANCES
    """Links of these stances are learnt."""
    least: PositiveInteger = 20
    """Training studies that have a link, at least, for it to be learnt."""
    anatomy: Flag = False
    """Whether concepts that are only parts of the body are learnt, as far as the graph states semantic types: a report
    that names the heart says little of what its image shows."""
    epochs: PositiveInteger = 12
    batch: PositiveInteger = 32
    learning_rate: PositiveNumber = 1e-3
    """Of the tower, at its highest."""
    layer_rate: PositiveNumber = 1.0
    """Learning rate of the last layer, which is new, as a multiple of the tower's."""
    weight_decay: NonNegativeNumber = 0.05
    warmup: NonNegativeNumber = 0.1
    """Share of the steps in which the learning rate rises; then it falls to 0 as a cosine does."""
    dropout: NonNegativeNumber = 0.3
    """Of the vectors before the last layer."""
    average: NonNegativeNumber = 0.99
    """Share of the previous mean in the running mean of the weights, which is what is kept; 0 keeps the weights."""
    variation: NonNegativeNumber = 1.0
    """How much images are turned, moved, scaled and made lighter, as a multiple of the usual; never mirrored."""
    mixup: NonNegativeNumber = 0.0
    """Parameter of the Beta distribution by which two images and their links are mixed (Zhang et al. 2018); 0 mixes
    none."""
    report_weight: NonNegativeNumber = 0.0
    """Of a further target, to tell an image's report among all of the training; 0 has none. The images' folder is then
    a data set with reports, of which the backbone's text tower makes vectors."""
    clip: PositiveNumber = 1.0
    """Of the gradient's norm."""
    calibrated: Flag = True
    """Whether probabilities are fitted to the validation part."""

    def check(self) -> None:
        """Raise `InputError` for values that do not go together."""
        unknown_stances = set(self.stances) - set(STANCES)
        if unknown_stances or not self.stances:
            raise InputError("stances are not some of the three", f"Choose among {', '.join(STANCES)}.")
        if self.report_weight and self.mixup:
            raise InputError(
                "report_weight does not go with mixup: a mixed image has no report", "Set one of them to 0."
            )
        if self.average >= 1 or self.dropout >= 1 or self.warmup >= 1:
            raise InputError("average, dropout and warmup are less than 1", "Make them smaller.")
