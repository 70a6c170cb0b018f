"""A retrieval model's training as data: read from YAML, checked at the edge, frozen. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from kgp_models.retrieval.fashionklip import FashionSettings
from kgp_models.retrieval.knowledgeclip import LOSSES, KnowledgeSettings
from kgp_models.towers.small_backbone import SmallSizes
from kgp_models.training import yaml_settings
from kgplatform.errors import InputError

EXAMPLES: Final = "benchmarks/retrieval/settings/"
_MAY_BE_ZERO: Final = frozenset(
    {"tuning.weight_decay", "tuning.warmup", "small.dropout", "fashion.weight", "fashion.diversity", "fashion.drawn"}
    | {f"knowledge.{loss}" for loss in LOSSES}
)


@dataclass(frozen=True)
class FineTuning:
    """The training on pairs: AdamW (MedMKG appendix J); batch, clipping and temperature as in the released code.

    What neither says: the schedule (constant, or a cosine's fall, after `warmup` epochs), weight decay, and whether
    pictures are `varied` (turned, moved, scaled, made lighter; never mirrored, as sides count).
    """

    learning_rate: float = 1e-4
    epochs: int = 30
    patience: int = 3  # epochs without a better recall of the validation part
    batch: int = 128
    weight_decay: float = 0.01
    clip: float = 1.0  # of the gradient's norm
    warmup: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    varied: bool = True


@dataclass(frozen=True)
class RetrievalSettings:
    """A model: the backbone, whether its towers are frozen, the method and how it reads the graph."""

    backbone: str = "small"
    frozen: bool = False
    method: Literal["backbone", "fashionklip", "knowledgeclip"] = "backbone"
    graph: Literal["full", "empty", "shuffled", "no-stance"] = "full"
    small: SmallSizes = field(default_factory=SmallSizes)
    tuning: FineTuning = field(default_factory=FineTuning)
    fashion: FashionSettings = field(default_factory=FashionSettings)
    knowledge: KnowledgeSettings = field(default_factory=KnowledgeSettings)

    @classmethod
    def read(cls, path: Path) -> RetrievalSettings:
        """The settings in a YAML file. Raises `InputError` for what is unknown, ill-typed or out of range."""
        document = yaml_settings.document_of(path, EXAMPLES)
        try:
            return cls.of(document)
        except InputError as error:
            raise InputError(error.message, error.hint, path=path) from None

    @classmethod
    def of(cls, document: object) -> RetrievalSettings:
        """The settings in a plain mapping. Raises `InputError`."""
        settings = yaml_settings.settings_from_mapping(cls, document, EXAMPLES, _MAY_BE_ZERO)
        if settings.small.pixels % 32 or settings.small.hidden % settings.small.heads:
            raise InputError("small.pixels is no multiple of 32, or small.hidden none of small.heads", "It must be.")
        selection_counts = (settings.fashion.nearest, settings.fashion.prototypes, settings.fashion.candidates)
        if list(selection_counts) != sorted(selection_counts) or settings.fashion.diversity > 1:
            message = "fashion: nearest is more than prototypes, these more than candidates, or diversity more than 1"
            raise InputError(message, "Check them.")
        if "{}" not in settings.fashion.prompt or "{}" not in settings.knowledge.prompt:
            raise InputError("a prompt has no {}, where the concept's name goes", "Write it there.")
        return settings

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return asdict(self)
