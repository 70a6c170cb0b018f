"""OpenI's studies in R2Gen's parts, with the triplets of the indexers' codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.generation.scores import Triplets
from kgp_models.generator.encoded import studies_with_image
from kgp_models.generator.read_studies import OTHER, read_studies
from kgp_models.generator.records import Study, repeated_reports, require_apart
from kgp_models.generator.settings import DataSettings
from kgplatform.triplets.metrics import count, score_documents

PARTS: Final = {"validation": "val", "held-out": OTHER}


@dataclass(frozen=True)
class OpenIStudies:
    """The studies of the parts, and of each part those whose report is in the training word for word."""

    training: Sequence[Study]
    parts: Mapping[str, Sequence[Study]]
    repeated: Mapping[str, set[str]]


def read_parts(data: Path, limit: int | None) -> OpenIStudies:
    """Training, validation and held-out studies with their image. Raises `InputError` where one is also in training."""
    settings = DataSettings(
        reports="openi",
        path=str((data / "openi_xray").absolute()),
        targets="codes",
        splits=str((data / "iu_xray" / "annotation.json").absolute()),
        views=("Frontal",),
        images="images",
    )
    training = studies_with_image(read_studies(settings, "train", Path()))
    parts = {name: studies_with_image(read_studies(settings, split, Path()))[:limit] for name, split in PARTS.items()}
    for studies in parts.values():
        require_apart(training, studies)
    repeated = {name: {study.id for study in repeated_reports(training, studies)} for name, studies in parts.items()}
    return OpenIStudies(training, parts, repeated)


def texts(studies: Iterable[Study]) -> list[str]:
    """The reports."""
    return [study.record().report for study in studies]


def study_targets(studies: Iterable[Study]) -> list[Triplets]:
    """The indexers' triplets."""
    return [study.record().triplets for study in studies]


def micro_f1(predicted: Sequence[Triplets], references: Sequence[Triplets]) -> float:
    """The exact micro-F1 of triplets."""
    return score_documents([count(*pair) for pair in zip(predicted, references, strict=True)]).f1
