"""A VQA model's training as data: read from YAML, checked at the edge, frozen. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from kgp_models.training import yaml_settings
from kgplatform.errors import InputError

EXAMPLES: Final = "benchmarks/vqa/settings/"
METHODS: Final = ("base", "question-only", "image-only", "krisp", "mkbn", "k-pathvqa", "ekgrl", "mr-mkg")
PLAIN: Final = ("base", "question-only", "image-only")  # that read no graph
_MAY_BE_ZERO: Final = frozenset({"tuning.weight_decay", "dropout", "graph_dropout", "align"})


@dataclass(frozen=True)
class Tuning:
    """AdamW, rate 1e-4, at most 30 epochs, patience 3 (MedMKG appendix J and K); batch and clipping as in its code.

    `schedule`: constant, a cosine's fall to 0, or plateau: times 0.8, to 1e-6 at least, when the validation's loss has
    not fallen for 4 epochs, as in MedMKG's code. `by`: what epochs are compared by on the validation part.
    """

    learning_rate: float = 1e-4
    epochs: int = 30
    patience: int = 3
    batch: int = 64
    weight_decay: float = 0.01
    clip: float = 1.0
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    by: Literal["loss", "accuracy"] = "loss"


@dataclass(frozen=True)
class VQASettings:
    """A model: the frozen backbone, the method, how the graph is read, and the widths of layers."""

    backbone: str = "offline"
    method: Literal["base", "question-only", "image-only", "krisp", "mkbn", "k-pathvqa", "ekgrl", "mr-mkg"] = "base"
    graph: Literal["full", "empty", "shuffled", "no-stance"] = "full"
    hops: int = 1
    cap: int = 64  # edges of a subgraph
    images: bool = True  # whether images, and so stances, are part of a subgraph
    hidden: int = 512
    width: int = 128  # of the graph's states
    layers: int = 2
    dropout: float = 0.1  # of image and question
    graph_dropout: float = 0.1  # where the graph is read
    align: float = 0.1  # λ of MR-MKG's alignment
    tuning: Tuning = field(default_factory=Tuning)

    @classmethod
    def read(cls, path: Path) -> VQASettings:
        """The settings in a YAML file. Raises `InputError` for what is unknown, ill-typed or out of range."""
        document = yaml_settings.document_of(path, EXAMPLES)
        try:
            return cls.of(document)
        except InputError as error:
            raise InputError(error.message, error.hint, path=path) from None

    @classmethod
    def of(cls, document: object) -> VQASettings:
        """The settings in a plain mapping. Raises `InputError`."""
        settings = yaml_settings.settings_from_mapping(cls, document, EXAMPLES, _MAY_BE_ZERO)
        if settings.hops > 2:
            raise InputError("hops is more than 2", "Say 1 or 2.")
        if settings.width % 4 or settings.hidden % 4:
            raise InputError("width or hidden is no multiple of 4", "There are four heads.")
        if max(settings.dropout, settings.graph_dropout) >= 1:
            raise InputError("a dropout is 1 or more", "It is a share.")
        return settings

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return asdict(self)
