"""What a generator reaches on studies that it was not trained on, for its model card."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from kgp_models.generator.generate import Generator
from kgp_models.generator.records import Study
from kgplatform.generate.backend import Asked
from kgplatform.triplets.metrics import Key, count, score

STUDIES: Final = 200  # of the validation part, at most
DEGREE: Final = re.compile(
    r"\b(tiny|trace|minimal|slight|mild|small|moderate|marked|severe|large|extensive|massive)\b", re.IGNORECASE
)

Progress = Callable[[int, int | None], None]


def with_degrees(same: Key) -> Key:
    """The key, but words of degree are compared as they are: a vocabulary may have "small" and "moderate" as one."""
    return lambda text: text if DEGREE.fullmatch(text) else same(text)


def validated(generator: Generator, studies: Sequence[Study], same: Key, progress: Progress) -> dict[str, float | int]:
    """Triplet F1 (micro) on the first studies, by what entities mean: on report and image, and on the image alone.

    The reference is the report's triplets, and for the image alone what is drawn, where that is known. Studies whose
    image cannot be read count for nothing. Empty where there are no studies.
    """
    sees = generator.trained.vision is not None
    chosen = [one for one in studies if not sees or (one.image is not None and one.image.is_file())][:STUDIES]
    whole = {one.id: one.record() for one in chosen}
    alone = {one.id: one.record(set(), same) for one in chosen} if sees else {}
    figures: dict[str, float | int] = {}
    key, done = with_degrees(same), 0
    for name, records in ((f"validation F1, report{' and image' if sees else ''}", whole),
                          ("validation F1, image alone", alone)):  # fmt: skip
        counts = []
        for batch in generator.replies(Asked(one.id, one.image, one.report) for one in records.values()):
            done += len(batch)
            progress(done, len(whole) + len(alone))
            counts += [
                count([one.triplet for one in reply.triplets], records[reply.asked.id].triplets, key)
                for reply in batch
                if reply.problem is None
            ]
        if counts:
            figures |= {"validation studies": len(counts), name: round(score(counts).f1, 4)}
    return figures
