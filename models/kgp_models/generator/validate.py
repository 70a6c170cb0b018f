"""What a generator reaches on studies that it was not trained on, for its model card, and with which search."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple

from kgp_models.generator.checkpoint import GeneratorCheckpoint
from kgp_models.generator.generate import Decoding, Generator
from kgp_models.generator.records import Record, Study
from kgp_models.generator.settings import DecodingSettings
from kgplatform.generate.backend import GenerationRequest
from kgplatform.progress import Progress
from kgplatform.triplets.metrics import Counts, Key, count, score_documents

DEGREE: Final = re.compile(
    r"\b(tiny|trace|minimal|slight|mild|small|moderate|marked|severe|large|extensive|massive)\b", re.IGNORECASE
)
FIGURE: Final = "validation F1"


class Search(NamedTuple):
    """How replies are compared (`kgp_models.generator.search.most_probable`)."""

    length_penalty: float = 0.0
    token_reward: float = 0.0

    def __str__(self) -> str:
        reward = f", token reward {self.token_reward:g}" if self.token_reward else ""
        return f"length penalty {self.length_penalty:g}{reward}"


class Validation(NamedTuple):
    """The figures of the model card, and the best search."""

    figures: Mapping[str, float | int]
    search: Search


class Written(NamedTuple):
    """What was written of one study, against what was to be."""

    study: str
    counts: Counts
    tokens: int


def with_degrees(same: Key) -> Key:
    """The key, but words of degree are compared unchanged: a vocabulary may have "small" and "moderate" as one."""
    return lambda entity_text: entity_text if DEGREE.fullmatch(entity_text) else same(entity_text)


def validate(
    trained: GeneratorCheckpoint,
    decoding: DecodingSettings,
    studies: Sequence[Study],
    repeated: Sequence[Study],
    same: Key,
    progress: Progress,
) -> Validation:
    """Triplet F1 (micro) on the first studies, by what entities mean: on report and image, and on the image alone, each
    with the mean length of the replies in tokens.

    The reference is the report's triplets, and for the image alone what is drawn, where that is known. Studies whose
    image cannot be read count for nothing. `repeated` are studies whose report is in the training word for word: there
    is a figure without them, too. The search is that of the highest F1 on reports; there are no figures where
    there are no studies.
    """
    has_vision = trained.vision is not None
    scored = [study for study in studies if not has_vision or (study.image is not None and study.image.is_file())]
    scored = scored[: decoding.studies]
    if not scored:
        return Validation({}, Search())
    full_records = {study.id: study.record() for study in scored}
    image_records = {study.id: study.record(set(), same) for study in scored} if has_vision else {}
    pairs = product(decoding.length_penalties or (0.0,), decoding.token_rewards or (0.0,))
    searches = list(dict.fromkeys(Search(*pair) for pair in pairs))
    total = len(full_records) * len(searches) + len(image_records)
    written_by_search = {}
    for number, search in enumerate(searches):
        generator = Generator(trained, Decoding(decoding.beams, **search._asdict()))
        written_by_search[search] = _written(generator, full_records, same, progress, number * len(scored), total)
    best = max(searches, key=lambda search: _f1(written_by_search[search]))
    name = f"{FIGURE}, report{' and image' if has_vision else ''}"
    figures = _figures(name, written_by_search[best], {study.id for study in repeated})
    if len(searches) > 1:
        figures |= {f"{name}, {search}": _f1(written_by_search[search]) for search in searches}
    if image_records:
        generator = Generator(trained, Decoding(decoding.beams, **best._asdict()))
        written = _written(generator, image_records, same, progress, len(scored) * len(searches), total)
        figures |= _figures(f"{FIGURE}, image alone", written, set())
    return Validation({"validation studies": len(scored), **figures}, best)


def _written(
    generator: Generator, records: Mapping[str, Record], same: Key, progress: Progress, done: int, total: int
) -> list[Written]:
    entity_key = with_degrees(same)
    written = []
    requests = (GenerationRequest(record.id, record.image, record.report) for record in records.values())
    for replies in generator.replies(requests):
        done += len(replies)
        progress(done, total)
        written += [
            Written(
                reply.request.id,
                count([scored.triplet for scored in reply.triplets], records[reply.request.id].triplets, entity_key),
                reply.tokens,
            )
            for reply in replies
            if reply.problem is None
        ]
    return written


def _f1(written: Sequence[Written]) -> float:
    return round(score_documents([row.counts for row in written]).f1, 4) if written else 0.0


def _figures(name: str, written: Sequence[Written], repeated: Collection[str]) -> dict[str, float | int]:
    """The F1, that without the repeated reports where there are some, and the mean length of the replies."""
    if not written:
        return {}
    figures: dict[str, float | int] = {name: _f1(written)}
    new_reports = [row for row in written if row.study not in repeated]
    if len(new_reports) < len(written):
        figures[f"{name}, {len(new_reports)} reports not in training"] = _f1(new_reports)
    return {**figures, f"{name}, tokens a reply": round(sum(row.tokens for row in written) / len(written), 1)}
