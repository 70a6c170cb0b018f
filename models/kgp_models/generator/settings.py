"""A generator's training as data: read from YAML, checked at the edge, frozen. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from kgp_models.training import yaml_settings
from kgplatform.errors import InputError

SMALL: Final = "small"
INSTRUCTION: Final = "Write the knowledge graph of this chest radiograph as triplets."
EXAMPLES: Final = "benchmarks/generation/settings/"


@dataclass(frozen=True)
class DataSettings:
    """Studies to train on. Paths are relative to `path`, and `path` to the YAML file.

    `reports` is a loader with splits (``mimic-cxr``, ``iu-xray``), `graphs` are files in RadGraph's form (of RadGraph,
    DyGIE++, or synthetic), `drawn` has triplets of what images show, where that is known; `lexicon` names concepts, to
    tell whether a sentence speaks of what is drawn.
    """

    reports: str = "mimic-cxr"
    path: str = "."
    graphs: tuple[str, ...] = ("truth/radgraph.json",)
    drawn: str | None = None
    lexicon: tuple[str, ...] = ()
    views: tuple[str, ...] = ("AP", "PA")
    images: str = "."  # what paths of images are relative to
    train: str = "train"
    validation: str = "validate"


@dataclass(frozen=True)
class ProjectorSettings:
    """Sizes; the defaults are the paper's (k = n = 64, 8 layers), or ours where it says nothing (heads, MLP ratio)."""

    clip_length: int = 64  # k: positions that the image's vector is spread over
    prefix_length: int = 64  # n: positions of the learned constant
    layers: int = 8
    heads: int = 8
    mlp_ratio: float = 2.0


@dataclass(frozen=True)
class SmallSettings:
    """Sizes of our own language model (Qwen2's architecture) and the training of our own vision encoder."""

    vocabulary: int = 1024
    hidden: int = 192
    layers: int = 4
    head_width: int = 32
    vision_epochs: float = 12.0
    vision_batch: int = 32
    vision_learning_rate: float = 3e-3


@dataclass(frozen=True)
class StageSettings:
    """How a stage is trained (paper §3.2); AdamW. What the paper does not say: the schedule (linear to 0).

    `copies` are the records of each study in an epoch. `mixed` is the share of sentences that a copy has from other
    reports, so that few reports are read and not remembered; the paper has none (0).
    """

    epochs: float = 5.0
    batch: int = 2
    accumulation: int = 1
    learning_rate: float = 2e-5
    warmup_steps: int = 0
    weight_decay: float = 0.01
    save_every: int = 500  # steps; it is saved every minute, too, and goes on from there
    gradient_checkpointing: bool = False
    copies: int = 1
    mixed: float = 0.0


@dataclass(frozen=True)
class VisualSettings(StageSettings):
    """Stage 2. `tune` is what is trained in addition to the projector: the language model (VLM-KG), nothing (VLM-KG*),
    LoRA.

    Of the records, `thinned` have a report that lacks sentences and `without` have none, so that the image counts;
    the paper has neither (0). Only those that are thinned are `mixed`: a whole report says all that its image shows.
    """

    warmup_steps: int = 5000
    tune: Literal["language", "projector", "lora"] = "language"
    lora_rank: int = 8
    thinned: float = 0.0
    without: float = 0.0


@dataclass(frozen=True)
class GeneratorSettings:
    """A generator: data, encoder, language model, and both stages.

    `vision` and `language_model` are ``small`` (ours, trained first), or where weights are: KIND:FOLDER and a folder.
    """

    data: DataSettings = field(default_factory=DataSettings)
    instruction: str = INSTRUCTION
    vision: str = SMALL
    language_model: str = SMALL
    small: SmallSettings = field(default_factory=SmallSettings)
    projector: ProjectorSettings = field(default_factory=ProjectorSettings)
    language: StageSettings = field(default_factory=lambda: StageSettings(accumulation=2, learning_rate=1e-4))
    visual: VisualSettings = field(default_factory=VisualSettings)
    max_length: int = 1024  # tokens of prompt and answer
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on a GPU, float32 elsewhere
    seed: int = 42

    @classmethod
    def read(cls, path: Path) -> GeneratorSettings:
        """The settings in a YAML file. Raises `InputError` for what is unknown, ill-typed or out of range."""
        document = yaml_settings.document_of(path, EXAMPLES)
        try:
            return cls.of(document)
        except InputError as error:
            raise InputError(error.message, error.hint, path=path) from None

    @classmethod
    def of(cls, document: object) -> GeneratorSettings:
        """The settings in a plain mapping. Raises `InputError`."""
        settings = yaml_settings.settings_from_mapping(cls, document, EXAMPLES, _MAY_BE_ZERO)
        if settings.visual.thinned + settings.visual.without > 1:
            raise InputError("visual.thinned and visual.without are more than 1 together", "They are shares.")
        if max(settings.language.mixed, settings.visual.mixed) > 1:
            raise InputError("mixed is more than 1", "It is the share of sentences from other reports.")
        if settings.language_model == SMALL and settings.small.hidden % settings.projector.heads:
            raise InputError("projector.heads does not divide small.hidden", "It must.")
        return settings

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them; `of` reads them back."""
        return asdict(self)


_MAY_BE_ZERO: Final = frozenset(
    {"seed", "language.warmup_steps", "visual.warmup_steps", "language.weight_decay", "visual.weight_decay"}
    | {"visual.thinned", "visual.without", "language.mixed", "visual.mixed"}
)
