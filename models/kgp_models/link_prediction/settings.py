"""A training run as data: read from YAML, checked at the edge, frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from kgplatform.errors import InputError
from kgplatform.yaml_settings import (
    AsList,
    Flag,
    NonNegativeNumber,
    PositiveInteger,
    PositiveNumber,
    Text,
    YAMLSettings,
    setting_error,
)

SAMPLED: Final = ("margin", "softplus", "self-adversarial")


def _each_once(slots: tuple[str, ...]) -> tuple[str, ...]:
    if not slots or len(set(slots)) < len(slots):
        raise setting_error("must list head, relation or tail, each once")
    return slots


Slots = Annotated[tuple[Literal["head", "relation", "tail"], ...], AsList, AfterValidator(_each_once)]
Figures = Annotated[Sequence[NonNegativeNumber], Field(min_length=4, max_length=4)]


@dataclass(frozen=True)
class TrainingSettings(YAMLSettings):
    """How one model is built and trained.

    Training stops when the filtered validation rank (the mean MRR of the parts in `corrupt`) has not risen for
    `patience` checks, one every `check_every` epochs.
    """

    examples: ClassVar = "benchmarks/link_prediction/settings/"

    model: Text
    """The model's name; `kgp train links --help` lists them."""
    arguments: Mapping[Text, Any] = field(default_factory=dict)
    """Arguments of the model's parts, as PyKEEN names them."""
    reciprocal: Flag = False
    """Whether each relation has an inverse with a vector of its own; where every candidate is compared."""
    objective: Literal["margin", "softplus", "self-adversarial", "cross-entropy", "binary-cross-entropy"] = "margin"
    """The loss and what it compares a true triple with: sampled negatives (margin: Bordes et al. 2013, softplus:
    Trouillon et al. 2016, self-adversarial: Sun et al. 2019), or every candidate (cross-entropy: Lacroix et al. 2018,
    binary-cross-entropy: Dettmers et al. 2018)."""
    corrupt: Slots = ("head", "relation", "tail")
    """The parts of a triple that are replaced, or asked for."""
    negatives: PositiveInteger = 1
    """Negatives of a triple, shared among the parts in `corrupt` in turn."""
    margin: NonNegativeNumber = 1.0
    temperature: PositiveNumber = 1.0
    label_smoothing: NonNegativeNumber = 0.0
    relation_weight: NonNegativeNumber = 1.0
    """Weight of the questions for the relation (Chen et al. 2021), where every candidate is compared."""
    n3: NonNegativeNumber = 0.0
    """Weight of the nuclear 3-norm (Lacroix et al. 2018, eq. 9)."""
    optimizer: Literal["adamw", "adam", "adagrad"] = "adamw"
    learning_rate: PositiveNumber = 1e-3
    weight_decay: NonNegativeNumber = 0.01
    batch_size: PositiveInteger = 2048
    epochs: PositiveInteger = 500
    patience: PositiveInteger = 5
    """Checks without a better rank, after which training stops."""
    check_every: PositiveInteger = 5
    """Epochs from one check to the next."""
    paper: Mapping[Text, Figures] = field(default_factory=dict)
    """What the paper reports for each part: mean rank, and Hits@3, Hits@5 and Hits@10 in percent."""

    def check(self) -> None:
        """Raise `InputError` for values that do not go together."""
        if self.reciprocal and self.objective in SAMPLED:
            raise InputError(
                f"reciprocal relations are not trained by the objective {self.objective}",
                "Use cross-entropy or binary-cross-entropy, or reciprocal: false.",
            )
