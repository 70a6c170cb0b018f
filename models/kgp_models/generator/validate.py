"""What a generator reaches on studies that it was not trained on, for its model card, and with which search."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple

from kgp_models.generator.checkpoint import GeneratorCheckpoint
from kgp_models.generator.decoding import Decoding, Search
from kgp_models.generator.generate import Generator
from kgp_models.generator.records import Record, Study
from kgp_models.generator.settings import DecodingSettings
from kgplatform.generate.backend import GenerationRequest, GeneratorReply
from kgplatform.progress import Progress
from kgplatform.triplets.metrics import Counts, Key, count, score_documents

DEGREE: Final = re.compile(
    r"\b(tiny|trace|minimal|slight|mild|small|moderate|marked|severe|large|extensive|massive)\b", re.IGNORECASE
)
FIGURE: Final = "validation F1"
SHARES: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # of drawn replies, that are compared


class Validation(NamedTuple):
    """The figures of the model card, and the best searches: for studies with a report, and for images alone."""

    figures: Mapping[str, float | int]
    search: Search
    image_search: Search


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
    is a figure without them, too. The search is that of the highest F1, for reports and for images alone; there are no
    figures where there are no studies.
    """
    has_vision = trained.vision is not None
    scored = [study for study in studies if not has_vision or (study.image is not None and study.image.is_file())]
    scored = scored[: decoding.studies]
    if not scored:
        return Validation({}, Search(), Search())
    full_records = {study.id: study.record() for study in scored}
    image_records = {study.id: study.record(set(), same) for study in scored} if has_vision else {}
    pairs = product(decoding.length_penalties or (0.0,), decoding.token_rewards or (0.0,))
    searches = list(dict.fromkeys(Search(*pair) for pair in pairs))
    sampled = [Search(samples=decoding.samples, share=share) for share in SHARES] if decoding.samples else []
    passes = len(searches) + bool(sampled)
    classified = [Search(classifier=True)] if trained.classifier is not None else []
    total = len(full_records) * passes + len(image_records) * (1 + bool(sampled) + len(classified))
    step_progress = _Steps(progress, total)
    name = f"{FIGURE}, report{' and image' if has_vision else ''}"
    figures, best = _compared(
        trained, decoding.beams, [*searches, *sampled], full_records, same, step_progress, name, repeated
    )
    image_best = best
    if image_records:
        most_probable = Search() if best.samples else best
        image_figures, image_best = _compared(
            trained,
            decoding.beams,
            [most_probable, *sampled, *classified],
            image_records,
            same,
            step_progress,
            f"{FIGURE}, image alone",
            (),
        )
        figures |= image_figures
    return Validation({"validation studies": len(scored), **figures}, best, image_best)


class _Steps:
    """Progress over several passes."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        self._progress(self._done, self._total)


def _compared(
    trained: GeneratorCheckpoint,
    beams: int,
    searches: Sequence[Search],
    records: Mapping[str, Record],
    same: Key,
    steps: _Steps,
    name: str,
    repeated: Sequence[Study],
) -> tuple[dict[str, float | int], Search]:
    """The figures of the best of these searches, the F1 of each, and the best. Replies that are drawn are so once, for
    all shares.
    """
    written_by_search: dict[Search, list[Written]] = {}
    sampled = [search for search in searches if search.samples]
    for search in searches:
        if not search.samples:
            decoding = Decoding(beams, **search._asdict())
            replies = _replies(trained, decoding, records, steps)
            written_by_search[search] = _written(replies, records, same)
    if sampled:
        replies = _replies(trained, Decoding(samples=sampled[0].samples, share=0.0), records, steps)
        written_by_search |= {search: _written(replies, records, same, search.share) for search in sampled}
    best = max(searches, key=lambda search: _f1(written_by_search[search]))
    figures = _figures(name, written_by_search[best], {study.id for study in repeated})
    if len(searches) > 1:
        figures |= {f"{name}, {search}": _f1(written_by_search[search]) for search in searches}
    return figures, best


def _replies(
    trained: GeneratorCheckpoint, decoding: Decoding, records: Mapping[str, Record], steps: _Steps
) -> list[GeneratorReply]:
    generator = Generator(trained, decoding)
    all_replies = []
    for replies in generator.replies(
        GenerationRequest(record.id, record.image, record.report) for record in records.values()
    ):
        all_replies += replies
        steps.add(len(replies))
    return all_replies


def _written(
    replies: Sequence[GeneratorReply], records: Mapping[str, Record], same: Key, least: float = 0.0
) -> list[Written]:
    """What was written of each study, of triplets with this score at least."""
    entity_key = with_degrees(same)
    return [
        Written(
            reply.request.id,
            count(
                [scored.triplet for scored in reply.triplets if scored.score is None or scored.score >= least],
                records[reply.request.id].triplets,
                entity_key,
            ),
            reply.tokens,
        )
        for reply in replies
        if reply.problem is None
    ]


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
