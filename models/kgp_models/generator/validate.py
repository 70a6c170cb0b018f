"""What a generator reaches on studies that it was not trained on, for its model card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kgp_models.generator.generate import Generator
from kgp_models.generator.records import Study
from kgplatform.generate.backend import GenerationRequest
from kgplatform.progress import Progress
from kgplatform.triplets.metrics import Key, count, score_documents

STUDIES: Final = 200  # of the validation part, at most
DEGREE: Final = re.compile(
    r"\b(tiny|trace|minimal|slight|mild|small|moderate|marked|severe|large|extensive|massive)\b", re.IGNORECASE
)


def with_degrees(same: Key) -> Key:
    """The key, but words of degree are compared unchanged: a vocabulary may have "small" and "moderate" as one."""
    return lambda entity_text: entity_text if DEGREE.fullmatch(entity_text) else same(entity_text)


def validated(generator: Generator, studies: Sequence[Study], same: Key, progress: Progress) -> dict[str, float | int]:
    """Triplet F1 (micro) on the first studies, by what entities mean: on report and image, and on the image alone.

    The reference is the report's triplets, and for the image alone what is drawn, where that is known. Studies whose
    image cannot be read count for nothing. Empty where there are no studies.
    """
    has_vision = generator.trained.vision is not None
    scored = [study for study in studies if not has_vision or (study.image is not None and study.image.is_file())][
        :STUDIES
    ]
    full_records = {study.id: study.record() for study in scored}
    image_records = {study.id: study.record(set(), same) for study in scored} if has_vision else {}
    figures: dict[str, float | int] = {}
    entity_key, done_count = with_degrees(same), 0
    for figure_name, records in ((f"validation F1, report{' and image' if has_vision else ''}", full_records),
                          ("validation F1, image alone", image_records)):  # fmt: skip
        triplet_counts = []
        for replies in generator.replies(
            GenerationRequest(record.id, record.image, record.report) for record in records.values()
        ):
            done_count += len(replies)
            progress(done_count, len(full_records) + len(image_records))
            triplet_counts += [
                count([written.triplet for written in reply.triplets], records[reply.request.id].triplets, entity_key)
                for reply in replies
                if reply.problem is None
            ]
        if triplet_counts:
            figures |= {
                "validation studies": len(triplet_counts),
                figure_name: round(score_documents(triplet_counts).f1, 4),
            }
    return figures
