"""A training run as data: read from YAML, checked at the edge, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from kgplatform.errors import InputError
from kgplatform.files import read_yaml
from kgplatform.suggest import did_you_mean

Objective = Literal["margin", "softplus", "self-adversarial", "cross-entropy", "binary-cross-entropy"]
Optimizer = Literal["adamw", "adam", "adagrad"]
Slots = tuple[Literal["head", "relation", "tail"], ...]
SAMPLED: Final = ("margin", "softplus", "self-adversarial")


@dataclass(frozen=True)
class TrainingSettings:
    """How one model is built and trained.

    `objective` is the loss and what it compares a true triple with: sampled negatives (``margin``: Bordes et al. 2013,
    ``softplus``: Trouillon et al. 2016, ``self-adversarial``: Sun et al. 2019), or every candidate (``cross-entropy``:
    Lacroix et al. 2018, ``binary-cross-entropy``: Dettmers et al. 2018). `corrupt` are the parts that are replaced, or
    asked for; `negatives` how many a triple, shared among those parts in turn. `relation_weight` weighs the questions
    for the relation (Chen et al. 2021), where every candidate is compared. `n3` is the weight of the nuclear 3-norm
    (Lacroix et al. 2018, eq. 9). Training stops when the filtered validation rank (the mean MRR of those parts)
    has not risen for `patience` checks, one every `check_every` epochs.
    """

    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reciprocal: bool = False
    objective: Objective = "margin"
    corrupt: Slots = ("head", "relation", "tail")
    negatives: int = 1
    margin: float = 1.0
    temperature: float = 1.0
    label_smoothing: float = 0.0
    relation_weight: float = 1.0
    n3: float = 0.0
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    batch_size: int = 2048
    epochs: int = 500
    patience: int = 5
    check_every: int = 5
    paper: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> TrainingSettings:
        """The settings in a YAML file; raises `InputError` for what is unknown, ill-typed or out of range."""
        document = read_yaml(path, "See benchmarks/link_prediction/settings/ for examples.")
        try:
            return cls.of(document)
        except InputError as error:
            raise InputError(error.message, error.hint, path=path) from None

    @classmethod
    def of(cls, document: object) -> TrainingSettings:
        """The settings in a plain mapping; raises `InputError`."""
        if not isinstance(document, dict):
            raise InputError("the settings must be a mapping", "See benchmarks/link_prediction/settings/ for examples.")
        setting_types: dict[str, Any] = {setting_field.name: setting_field.type for setting_field in fields(cls)}
        for setting in document:
            if setting not in setting_types:
                hint = did_you_mean(str(setting), setting_types, f"Settings: {', '.join(setting_types)}.")
                raise InputError(f"there is no setting {setting}", hint)
        if "model" not in document:
            raise InputError("the setting model is missing", "Name the model.")
        checked_values = {setting: _checked(setting, content) for setting, content in document.items()}
        settings = cls(**checked_values)
        if settings.reciprocal and settings.objective in SAMPLED:
            raise InputError(
                f"reciprocal relations are not trained by the objective {settings.objective}",
                "Use cross-entropy or binary-cross-entropy, or reciprocal: false.",
            )
        return settings

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them; `of` reads them back."""
        return asdict(self)


_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"objective": get_args(Objective), "optimizer": get_args(Optimizer)}
_POSITIVE: Final = ("negatives", "batch_size", "epochs", "patience", "check_every", "learning_rate", "temperature")
_NUMBERS: Final = (*_POSITIVE, "margin", "label_smoothing", "relation_weight", "n3", "weight_decay")
_WHOLE: Final = ("negatives", "batch_size", "epochs", "patience", "check_every")


def _checked(setting: str, content: Any) -> Any:
    """The value, with its type made exact; raises `InputError`."""
    if setting in _CHOICES and content not in _CHOICES[setting]:
        hint = did_you_mean(str(content), _CHOICES[setting], f"It says {content!r}.")
        raise InputError(f"{setting} is not one of {', '.join(_CHOICES[setting])}", hint)
    if setting in _NUMBERS:
        is_integer = setting in _WHOLE
        if isinstance(content, bool) or not isinstance(content, int if is_integer else (int, float)):
            raise InputError(f"{setting} must be a {'whole ' if is_integer else ''}number", f"It says {content!r}.")
        if content < 0 or (setting in _POSITIVE and content == 0):
            raise InputError(
                f"{setting} must be {'positive' if setting in _POSITIVE else 'at least 0'}", f"It is {content}."
            )
        return content if is_integer else float(content)
    if setting == "corrupt":
        slot_names = tuple(content) if isinstance(content, list | tuple) else ()
        if (
            not slot_names
            or len(set(slot_names)) < len(slot_names)
            or not set(slot_names) <= {"head", "relation", "tail"}
        ):
            raise InputError("corrupt must list head, relation or tail", f"It says {content!r}.")
        return slot_names
    if setting == "reciprocal" and not isinstance(content, bool):
        raise InputError("reciprocal must be true or false", f"It says {content!r}.")
    if setting in ("arguments", "paper") and not isinstance(content, Mapping):
        raise InputError(f"{setting} must be a mapping", f"It says {content!r}.")
    if setting == "model" and not isinstance(content, str):
        raise InputError("model must be a name", f"It says {content!r}.")
    return content
