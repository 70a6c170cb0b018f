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
        document = read_yaml(path, "See benchmarks/settings/ for examples.")
        try:
            return cls.of(document)
        except InputError as error:
            raise InputError(error.message, error.hint, path=path) from None

    @classmethod
    def of(cls, document: object) -> TrainingSettings:
        """The settings in a plain mapping; raises `InputError`."""
        if not isinstance(document, dict):
            raise InputError("the settings must be a mapping", "See benchmarks/settings/ for examples.")
        kinds: dict[str, Any] = {f.name: f.type for f in fields(cls)}
        for name in document:
            if name not in kinds:
                hint = did_you_mean(str(name), kinds, f"Settings: {', '.join(kinds)}.")
                raise InputError(f"there is no setting {name}", hint)
        if "model" not in document:
            raise InputError("the setting model is missing", "Name the model.")
        values = {name: _checked(name, value) for name, value in document.items()}
        settings = cls(**values)
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


def _checked(name: str, value: Any) -> Any:
    """The value, with its type made exact; raises `InputError`."""
    if name in _CHOICES and value not in _CHOICES[name]:
        hint = did_you_mean(str(value), _CHOICES[name], f"It says {value!r}.")
        raise InputError(f"{name} is not one of {', '.join(_CHOICES[name])}", hint)
    if name in _NUMBERS:
        whole = name in _WHOLE
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise InputError(f"{name} must be a {'whole ' if whole else ''}number", f"It says {value!r}.")
        if value < 0 or (name in _POSITIVE and value == 0):
            raise InputError(f"{name} must be {'positive' if name in _POSITIVE else 'at least 0'}", f"It is {value}.")
        return value if whole else float(value)
    if name == "corrupt":
        slots = tuple(value) if isinstance(value, list | tuple) else ()
        if not slots or len(set(slots)) < len(slots) or not set(slots) <= {"head", "relation", "tail"}:
            raise InputError("corrupt must list head, relation or tail", f"It says {value!r}.")
        return slots
    if name == "reciprocal" and not isinstance(value, bool):
        raise InputError("reciprocal must be true or false", f"It says {value!r}.")
    if name in ("arguments", "paper") and not isinstance(value, Mapping):
        raise InputError(f"{name} must be a mapping", f"It says {value!r}.")
    if name == "model" and not isinstance(value, str):
        raise InputError("model must be a name", f"It says {value!r}.")
    return value
