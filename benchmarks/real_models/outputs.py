"""What the built models say of the held-out radiographs, and how often that is right."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from kgp_loaders.openi import DATASET, OpenI
from kgp_models.generator.checkpoint import load_generator
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator
from kgp_models.images.checkpoint import FORMAT, load_image_model
from kgp_models.images.predict import ImagePredictor
from kgp_models.images.prediction import PredictedLink
from kgp_models.retrieval.encode import BackboneEncoder, open_encoder
from kgplatform.construct.report import Report
from kgplatform.errors import InputError
from kgplatform.generate.backend import GenerationRequest
from kgplatform.generate.inputs import Input
from kgplatform.graph import Graph
from kgplatform.progress import SubjectProgress
from kgplatform.radiograph import find_image
from kgplatform.triplets.codes import code_triplets
from kgplatform.triplets.metrics import bootstrap, count, exact_key
from kgplatform.triplets.text import Triplet, report_text

WRITTEN: Final = 100  # held-out studies that the generator writes of: a second or two each
SEED: Final = 0  # of the order of the held-out studies, of which the first are written of and shown
LINKS: Final = 6  # predictions of a radiograph on the page
LEAST: Final = 0.15
CUTOFF: Final = 10
ENCODER_PART: Final = "validate "  # its figures are of these studies: the held-out ones have no stances in the graph


@dataclass(frozen=True)
class Shown:
    """A radiograph on the page: the indexers' codes, and what each model says."""

    study: str
    image: Path
    codes: Sequence[str]
    links: Sequence[PredictedLink]
    from_image: Sequence[Triplet]
    from_both: Sequence[Triplet]
    rank: int  # of the radiograph, among all that are held out, by its report


@dataclass(frozen=True)
class Outputs:
    """The radiographs on the page, and the figures of all that are held out."""

    shown: Sequence[Shown]
    figures: Mapping[str, Any]


def held_out_outputs(
    openi: Path, models: Path, graph: Graph, studies: Set[str], page_count: int, progress: SubjectProgress
) -> Outputs:
    """What the models in `models` say of these studies of OpenI. Raises `InputError` where none has a radiograph."""
    pictured = [
        (report, path)
        for report in OpenI(openi).reports()
        if isinstance(report, Report)
        and report.study in studies
        and (path := find_image(openi / "images", report.image["path"])) is not None
        and path.is_file()
    ]
    if not pictured:
        raise InputError("no held-out study has a radiograph", "Check the splits.", path=openi)
    random.Random(SEED).shuffle(pictured)
    reports, paths = [report for report, _ in pictured], [path for _, path in pictured]
    ranks, chance = _ranks(models / "retrieval", reports, paths)
    written_count = max(WRITTEN, page_count)
    written = _written(models / "generator", reports[:written_count], paths, progress)
    links = _links(models / "encoder", reports[:page_count], paths, graph)
    references = [code_triplets(report.codes) for report in reports[:written_count]]
    encoder_figures = FORMAT.read(models / "encoder", check_hashes=False)["figures"]
    figures: dict[str, Any] = {
        "held-out studies": len(reports),
        "findings, encoder": {
            name.removeprefix(ENCODER_PART): figure
            for name, figure in encoder_figures.items()
            if name.startswith(ENCODER_PART)
        },
        "retrieval, text to image": {
            f"R@{CUTOFF}": round(float(np.mean(np.array(ranks) <= CUTOFF)), 4),
            "by chance": chance,
            "images": len(ranks),
        },
    }
    for source, triplets in written.items():
        counts = [count(*pair, exact_key) for pair in zip(triplets, references, strict=True)]
        figures[f"triplets, {source}"] = {"studies": len(counts), "F1": bootstrap(counts, 0).as_dict()}
    rows = [
        Shown(
            report.study,
            paths[row],
            report.codes,
            links[row],
            written["image"][row],
            written["report and image"][row],
            ranks[row],
        )
        for row, report in enumerate(reports[:page_count])
    ]
    return Outputs(rows, figures)


def _ranks(folder: Path, reports: Sequence[Report], paths: Sequence[Path]) -> tuple[list[int], float]:
    """The rank of each study's radiograph by its report, 1 the nearest, where any radiograph with an equal report
    counts; and the share of ranks up to `CUTOFF` by chance.
    """
    encoder = open_encoder(str(folder))
    texts = [" ".join(filter(None, report.sections.values())) for report in reports]
    similarities = encoder.texts(texts) @ encoder.images(paths).T
    ranks = []
    for row, text in enumerate(texts):
        own = max(similarities[row, column] for column, other in enumerate(texts) if other == text)
        ranks.append(int((similarities[row] > own).sum()) + 1)
    groups = Counter(texts)
    return ranks, round(float(np.mean([chance_of_hit(len(texts), groups[text], CUTOFF) for text in texts])), 4)


def chance_of_hit(images: int, relevant: int, cutoff: int) -> float:
    """How probably one of the relevant images is among the first `cutoff` of a random order."""
    first_count = min(cutoff, images)
    return 1.0 - math.comb(images - relevant, first_count) / math.comb(images, first_count)


def _written(
    folder: Path, reports: Sequence[Report], paths: Sequence[Path], progress: SubjectProgress
) -> dict[str, list[tuple[Triplet, ...]]]:
    """The generator's triplets from the image alone, and from report and image."""
    generator = Generator(load_generator(folder / "vlm-kg"), Decoding())
    written = {}
    for source in ("image", "report and image"):
        requests = [
            GenerationRequest(
                str(row), paths[row], "" if source == "image" else report_text(filter(None, report.sections.values()))
            )
            for row, report in enumerate(reports)
        ]
        replies: dict[int, tuple[Triplet, ...]] = {}
        step_progress = progress(f"triplets, {source}")
        for batch in generator.replies(iter(requests)):
            replies |= {int(reply.request.id): tuple(scored.triplet for scored in reply.triplets) for reply in batch}
            step_progress(len(replies), len(requests))
        written[source] = [replies[row] for row in range(len(requests))]
    return written


def _links(
    folder: Path, reports: Sequence[Report], paths: Sequence[Path], graph: Graph
) -> list[Sequence[PredictedLink]]:
    """The likeliest findings of each radiograph, by encoder and graph."""
    encoder = open_encoder(f"images:{folder}")
    assert isinstance(encoder, BackboneEncoder)
    predictor = ImagePredictor(load_image_model(folder), encoder, graph)
    inputs = [
        Input(report.image_id, path, {"dataset": DATASET, "path": path.name})
        for report, path in zip(reports, paths, strict=False)
    ]
    predicted = {image.image.id: image for image in predictor.predict(inputs, top=1_000, least=LEAST)}
    return [[link for link in predicted[row.id].links if link.link.stance == "POSITIVE"][:LINKS] for row in inputs]
