"""Small studies and a tiny generator trained on them, by the real training, in seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgp_loaders.phantom import study_set
from kgplatform.generate.backend import GenerationRequest, GeneratorReply, Scored
from kgplatform.trained_on import UNKNOWN, TrainedOn
from kgplatform.triplets.text import parse_triplets

if TYPE_CHECKING:
    from kgp_models.generator.settings import GeneratorSettings
    from kgp_models.generator.train import Work

WEIGHTS = ("vision/vision.safetensors", "llm-kg/language/model.safetensors", "vlm-kg/projector.safetensors",
           "vlm-kg/language/model.safetensors", "vlm-kg/vision.safetensors")  # fmt: skip

STUDIES = 24
SETTINGS: Mapping[str, Any] = {
    "data": {"drawn": "truth/drawn.json", "lexicon": ["ontology"], "validation": "test"},  # so few have no other
    "small": {"vocabulary": 300, "hidden": 32, "layers": 1, "head_width": 16, "vision_epochs": 2, "vision_batch": 8},
    "projector": {"clip_length": 2, "prefix_length": 2, "layers": 1, "heads": 2},
    "language": {"epochs": 2, "batch": 4, "accumulation": 2, "learning_rate": 1e-3, "save_every": 2},
    "visual": {
        "epochs": 1, "batch": 4, "learning_rate": 1e-3, "warmup_steps": 2, "thinned": 0.25, "without": 0.25,
        "copies": 4, "save_every": 4,
    },
    "max_length": 768,
}  # fmt: skip


def write_generator_studies(folder: Path) -> Path:
    """A folder of synthetic studies."""
    study_set.build_study_set(folder, STUDIES, 7)
    return folder


def tiny_generator_settings(**changed: Mapping[str, Any] | Any) -> GeneratorSettings:
    """The tiny generator's settings; a mapping changes a part of one of its parts."""
    from kgp_models.generator.settings import GeneratorSettings

    document = dict(SETTINGS)
    for section_name, new_value in changed.items():
        document[section_name] = (
            {**document.get(section_name, {}), **new_value} if isinstance(new_value, Mapping) else new_value
        )
    return GeneratorSettings.from_document(document)


def tiny_generator_training(studies: Path, folder: Path, **changed: Any) -> Work:
    """A training of the tiny generator on studies."""
    from kgp_models.generator.train import Work, meaning

    generator_settings = tiny_generator_settings(**changed)
    return Work(generator_settings, folder, studies, meaning(generator_settings.data, studies))


def train_tiny_generator(data: Path, folder: Path) -> Path:
    """Train it; returns the folder with `vision`, `llm-kg` and `vlm-kg`."""
    import torch

    from kgp_models.generator.train import train_stages

    torch.set_num_threads(1)
    train_stages(tiny_generator_training(data, folder), ["1", "2"])
    return folder


class Fake:
    """A backend that says of each image what it is configured to, in small batches, and remembers what it was asked."""

    name = "fake 1"
    sha256 = "f" * 64
    trained_on: TrainedOn = UNKNOWN

    def __init__(
        self, replies_by_image: Mapping[str, str], size: int = 2, dies_after: int | None = None, wait: float = 0.0
    ) -> None:
        self.parameters: Mapping[str, Any] = {"beams": 1}
        self.requests: list[GenerationRequest] = []
        self._replies_by_image = replies_by_image
        self._size = size
        self._left = dies_after
        self._wait = wait

    def replies(self, requests: Iterator[GenerationRequest]) -> Iterator[list[GeneratorReply]]:
        """Batches; after so many of them, a crash."""
        while batch := list(islice(requests, self._size)):
            if self._left == 0:
                raise RuntimeError("the generator has crashed")
            self._left = None if self._left is None else self._left - 1
            self.requests += batch
            time.sleep(self._wait)
            yield [self._reply(request) for request in batch]

    def _reply(self, request: GenerationRequest) -> GeneratorReply:
        reply_text = self._replies_by_image.get(request.id)
        if reply_text is None:
            return GeneratorReply(request, "", (), problem="not a readable radiograph")
        parsed_reply = parse_triplets(reply_text)
        return GeneratorReply(
            request,
            reply_text,
            tuple(Scored(triplet, 0.5) for triplet in parsed_reply.triplets),
            parsed_reply.left_out,
            7,
        )
