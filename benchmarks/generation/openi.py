"""Triplets of OpenI's indexers from the report and from the radiograph: rivals that need no generator, and generators.

    python -m benchmarks.generation.openi --data $KGP_DATA_DIR [--trained NAME=FOLDER …] [--encoder FOLDER] [--limit N]

Targets are the triplets of the indexers' codes (`kgplatform.triplets.codes`). Training and choices are on R2Gen's
training and validation parts; figures are of validation and of the studies of `openi_xray` that R2Gen does not use,
with a frontal radiograph. NAME=FOLDER is a folder of `kgp train generator` with LLM-KG, VLM-KG or both; `--encoder` one
of `kgp train images`. Rows, by what they read:

    nothing            the most frequent triplets
    report             the triplets of the nearest training report (TF-IDF); TF-IDF and logistic regression; LLM-KG
    image              those of the nearest radiograph; logistic regression on the encoder's vectors; the codes that the
                       encoder was trained on (`benchmarks.images.run --code-parts`); VLM-KG
    report and image   VLM-KG; with half of the sentences; blind (a grey image)

F1 is exact and micro, of triplets and of entities, with 95 % bootstrap intervals over studies; on all studies, and on
those whose report is not one of the training's word for word. `--decodings` compares searches on validation.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.generation.baselines import most_frequent
from benchmarks.generation.scores import Triplets, score_case
from benchmarks.harness import record
from kgp_models.generator import checkpoint
from kgp_models.generator.checkpoint import ABOUT
from kgp_models.generator.generate import Decoding, Generator, generator_device
from kgp_models.generator.read_studies import OTHER, read_studies
from kgp_models.generator.records import Record, Study, repeated_reports, require_apart, thinned
from kgp_models.generator.settings import DataSettings
from kgp_models.images.checkpoint import load_image_model
from kgp_models.images.model import image_outputs
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.retrieval.inputs import image_features, read_pictures
from kgplatform.cli.output import note, progress
from kgplatform.errors import UsageError
from kgplatform.files import read_json
from kgplatform.generate.backend import GenerationRequest, GeneratorReply
from kgplatform.triplets.codes import code_triplets
from kgplatform.triplets.metrics import bootstrap_difference, count, exact_key, score_documents

RESULTS: Final = Path(__file__).parent / "results" / "openi.json"
PARTS: Final = {"validation": "val", "held-out": OTHER}
GAPS: Final = 0.5  # share of the sentences that a report with gaps lacks
LEAST: Final = 3  # training studies that have a triplet, at least, for the regressions to learn it
PENALTIES: Final = (10.0, 100.0)  # C of the regressions, chosen on validation
IMAGE_PENALTIES: Final = (0.0003, 0.003)
THRESHOLDS: Final = tuple(np.linspace(0.05, 0.6, 23))
SEARCHES: Final = {
    "greedy": Decoding(1),
    "4 beams, length penalty 0": Decoding(4, length_penalty=0.0),
    "4 beams, length penalty 1": Decoding(4, length_penalty=1.0),
    "greedy, constrained": Decoding(1, constrained=True),
}
Matrix = NDArray[Any]


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
    training = _with_image(read_studies(settings, "train", Path()))
    parts = {name: _with_image(read_studies(settings, split, Path()))[:limit] for name, split in PARTS.items()}
    for studies in parts.values():
        require_apart(training, studies)
    repeated = {name: {study.id for study in repeated_reports(training, studies)} for name, studies in parts.items()}
    return OpenIStudies(training, parts, repeated)


def _with_image(studies: Iterable[Study]) -> list[Study]:
    return [study for study in studies if study.image is not None and study.image.is_file()]


def _texts(studies: Iterable[Study]) -> list[str]:
    return [study.record().report for study in studies]


def _targets(studies: Iterable[Study]) -> list[Triplets]:
    return [study.record().triplets for study in studies]


# Rivals


def report_rivals(studies: OpenIStudies) -> dict[str, dict[str, list[Triplets]]]:
    """What the nearest report has, and TF-IDF with logistic regression, by part."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    training = vectoriser.fit_transform(_texts(studies.training))
    vectors = {name: vectoriser.transform(_texts(part)) for name, part in studies.parts.items()}
    targets = _targets(studies.training)
    nearest = {
        name: [targets[row] for row in np.asarray((part @ training.T).todense()).argmax(1)]
        for name, part in vectors.items()
    }
    regression = regressions(training, studies, vectors, PENALTIES)
    return {"nearest report": nearest, "TF-IDF, logistic regression": regression}


def image_rivals(studies: OpenIStudies, spec: str, folder: Path) -> dict[str, dict[str, list[Triplets]]]:
    """What the most similar radiograph has, and logistic regression on the vectors, by part."""
    backbone = open_frozen_backbone(spec)
    vectors = {}
    for name, part in (("training", studies.training), *studies.parts.items()):
        paths = [study.image for study in part if study.image is not None]
        pictures = read_pictures(paths, backbone.picture, folder, progress(f"images, {name}"))
        features = image_features(backbone, pictures.values, progress(f"vectors, {name}")).numpy()
        vectors[name] = features / np.linalg.norm(features, axis=1, keepdims=True)
    targets = _targets(studies.training)
    training = vectors.pop("training")
    nearest = {name: [targets[row] for row in (part @ training.T).argmax(1)] for name, part in vectors.items()}
    mean, deviation = training.mean(0), training.std(0).clip(1e-6)
    standard = {name: (part - mean) / deviation for name, part in vectors.items()}
    regression = regressions((training - mean) / deviation, studies, standard, IMAGE_PENALTIES)
    return {f"nearest radiograph, {spec_name(spec)}": nearest, f"logistic regression, {spec_name(spec)}": regression}


def link_triplets(studies: OpenIStudies, folder: Path, pictures_folder: Path) -> dict[str, list[Triplets]]:
    """The triplets of the codes that an encoder of `benchmarks.images.run --code-parts` was trained on, by part: those
    above the probability that is best on validation.
    """
    model = load_image_model(folder)
    columns, kinds = [], []
    for column, link in enumerate(model.links):
        for triplet in code_triplets([link.name]):
            columns.append(column)
            kinds.append(triplet)
    if not kinds:
        return {}
    scores = {}
    for name, part in studies.parts.items():
        paths = [study.image for study in part if study.image is not None]
        pictures = read_pictures(paths, model.picture, pictures_folder, progress(f"images, {name}"))
        _, logits = image_outputs(model.classifier, model.picture, pictures.values, progress(f"links, {name}"))
        scores[name] = model.calibration.probabilities(logits).numpy()[:, columns]
    validation = _targets(studies.parts["validation"])
    thresholds = [
        (_f1(_above(scores["validation"], kinds, float(threshold)), validation), float(threshold))
        for threshold in THRESHOLDS
    ]
    return {name: _above(part, kinds, max(thresholds)[1]) for name, part in scores.items()}


def spec_name(spec: str) -> str:
    """The backbone without the folder, which is of this machine."""
    return spec.partition(":")[0]


def regressions(
    training: Any, studies: OpenIStudies, vectors: Mapping[str, Any], penalties: Sequence[float]
) -> dict[str, list[Triplets]]:
    """One logistic regression a triplet; penalty and the threshold for all are those of the highest validation F1."""
    from sklearn.linear_model import LogisticRegression

    counts = Counter(triplet for targets in _targets(studies.training) for triplet in targets)
    kinds = sorted(triplet for triplet, number in counts.items() if number >= LEAST)
    has_triplet = np.array([[kind in targets for kind in kinds] for targets in map(set, _targets(studies.training))])
    validation = _targets(studies.parts["validation"])
    best: tuple[float, dict[str, list[Triplets]]] = (-1.0, {})
    for penalty in penalties:
        columns: dict[str, list[Matrix]] = {name: [] for name in vectors}
        for column in has_triplet.T:
            model = LogisticRegression(C=penalty, solver="liblinear").fit(training, column)
            for name, part in vectors.items():
                columns[name].append(model.predict_proba(part)[:, 1])
        scores = {name: np.stack(part, 1) for name, part in columns.items()}
        for threshold in THRESHOLDS:
            predicted = {name: _above(part, kinds, float(threshold)) for name, part in scores.items()}
            f1 = _f1(predicted["validation"], validation)
            if f1 > best[0]:
                best = f1, predicted
    return best[1]


def _above(scores: Matrix, kinds: Sequence[Any], threshold: float) -> list[Triplets]:
    return [tuple(kinds[column] for column in np.flatnonzero(row > threshold).tolist()) for row in scores]


def _f1(predicted: Sequence[Triplets], references: Sequence[Triplets]) -> float:
    return score_documents([count(*pair) for pair in zip(predicted, references, strict=True)]).f1


# Generators


def gaps(study: Study, share: float = GAPS) -> Record:
    """The record with that share of its sentences left out, always the same ones; the codes are of the whole study."""
    rng = random.Random(f"kgp benchmark {study.id}")
    return study.record(thinned(study, share, rng))


def generator_records(studies: Sequence[Study], has_vision: bool, grey: Path) -> dict[str, list[Record]]:
    """What a generator reads in each row."""
    if not has_vision:
        return {
            "LLM-KG, report": [study.record() for study in studies],
            "LLM-KG, report with gaps": [gaps(study) for study in studies],
        }
    return {
        "VLM-KG, report and image": [study.record() for study in studies],
        "VLM-KG, report with gaps and image": [gaps(study) for study in studies],
        "VLM-KG, image": [study.record(set()) for study in studies],
        "VLM-KG, report, blind": [study.record()._replace(image=grey) for study in studies],
        "VLM-KG, blind": [study.record(set())._replace(image=grey) for study in studies],
    }


def write_replies(generator: Generator, records: Sequence[Record], name: str) -> dict[str, Any]:
    """The triplets written of each record, in their order; tokens a reply, and seconds."""
    start_time, step_progress = time.monotonic(), progress(name)
    replies: dict[int, GeneratorReply] = {}
    requests = (GenerationRequest(str(number), row.image, row.report) for number, row in enumerate(records))
    for batch in generator.replies(requests):
        replies |= {int(reply.request.id): reply for reply in batch}
        step_progress(len(replies), len(records))
    ordered = [replies[number] for number in range(len(records))]
    return {
        "triplets": [tuple(scored.triplet for scored in reply.triplets) for reply in ordered],
        "tokens a reply": round(sum(reply.tokens for reply in ordered) / len(ordered), 1),
        "unreadable images": sum(reply.problem is not None for reply in ordered),
        "seconds": round(time.monotonic() - start_time, 1),
    }


def _stages(folder: Path) -> list[Path]:
    stages = [folder / name for name in ("llm-kg", "vlm-kg") if (folder / name / ABOUT).is_file()]
    if not stages:
        raise UsageError(f"{folder} has no trained generator", "Give a folder of `kgp train generator`.")
    return stages


# The run


class Table:
    """The rows of a part, with what each is compared with, stored after each row; rows of an earlier call stay."""

    def __init__(self, path: Path, studies: OpenIStudies, seed: int) -> None:
        self.path, self.studies, self.seed = path, studies, seed
        self.rows: dict[str, dict[str, Any]] = {name: {} for name in studies.parts}
        self.counts: dict[tuple[str, str], Any] = {}
        self.searches: dict[str, Any] = {}
        earlier = read_json(path) if path.is_file() else {}
        if earlier.get("studies") == self._sizes():
            self.rows, self.searches = earlier["rows"], earlier["searches"]

    def has(self, part: str, name: str, model: str) -> bool:
        """Whether this row of this model is there from an earlier call."""
        return bool(self.rows[part].get(name, {}).get("model") == model)

    def add(self, part: str, name: str, predicted: Sequence[Triplets], **more: Any) -> None:
        """Score a row against the indexers' triplets."""
        studies = self.studies.parts[part]
        references = _targets(studies)
        scored = score_case(predicted, references, exact_key, self.seed)
        new = [number for number, study in enumerate(studies) if study.id not in self.studies.repeated[part]]
        self.counts[part, name] = scored.counts
        self.rows[part][name] = {
            **scored.document,
            "triplets a study": round(sum(map(len, predicted)) / len(predicted), 2),
            "reports not in training": {
                "studies": len(new),
                "F1": round(_f1([predicted[number] for number in new], [references[number] for number in new]), 4),
            },
            "minus the most frequent": self._difference(part, name, "most frequent"),
            **more,
        }
        interval = scored.document["interval"]
        note(f"{part}, {name}: F1 {interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]")
        self.store()

    def _difference(self, part: str, name: str, baseline: str) -> dict[str, Any] | None:
        if name == baseline:
            return None
        return bootstrap_difference(self.counts[part, name], self.counts[part, baseline], self.seed).as_dict()

    def _sizes(self) -> dict[str, int]:
        return {
            "training": len(self.studies.training),
            **{name: len(part) for name, part in self.studies.parts.items()},
            **{f"{name}, report in training": len(ids) for name, ids in self.studies.repeated.items()},
        }

    def store(self) -> None:
        """Write what there is."""
        document = {"studies": self._sizes(), "rows": self.rows, "searches": self.searches}
        record.store(self.path, {**document, "context": record.context(self.seed)}, indent=1)


def run_most_frequent(table: Table) -> None:
    """The triplets that most training studies have, for every study."""
    studies = table.studies
    frequent = most_frequent(_targets(studies.training), _targets(studies.parts["validation"]), exact_key)
    for part, part_studies in studies.parts.items():
        table.add(part, "most frequent", [frequent] * len(part_studies))


def run_rivals(table: Table, encoder: Path | None, folder: Path) -> None:
    """The other rows that need no generator."""
    studies = table.studies
    rivals = {} if all("nearest report" in rows for rows in table.rows.values()) else report_rivals(studies)
    for spec in ["offline", *([] if encoder is None else [f"images:{encoder}"])]:
        rivals |= image_rivals(studies, spec, folder)
    if encoder is not None and (linked := link_triplets(studies, encoder, folder)):
        rivals["image encoder's codes"] = linked
    for name, predicted_by_part in rivals.items():
        for part, predicted in predicted_by_part.items():
            table.add(part, name, predicted)


def run_generator(table: Table, name: str, stage: Path, folder: Path) -> None:
    """The rows of a generator."""
    grey = folder / "grey.png"
    Image.new("L", (256, 256), 128).save(grey)
    trained = checkpoint.load_generator(stage, generator_device())
    generator = Generator(trained, Decoding())
    records_by_part = {
        part: generator_records(studies, trained.vision is not None, grey)
        for part, studies in table.studies.parts.items()
    }
    for row_name in records_by_part["validation"]:
        title = f"{name}: {row_name}"
        for part, records in records_by_part.items():
            if not table.has(part, title, trained.sha256):
                written = write_replies(generator, records[row_name], f"{title}, {part}")
                table.add(part, title, written.pop("triplets"), model=trained.sha256, **written)


def run_searches(table: Table, name: str, stage: Path) -> None:
    """Greedy, beams and constrained decoding once, on the validation part."""
    trained = checkpoint.load_generator(stage, generator_device())
    studies = table.studies.parts["validation"]
    for search, decoding in SEARCHES.items():
        written = write_replies(Generator(trained, decoding), [study.record() for study in studies], search)
        scored = score_case(written.pop("triplets"), _targets(studies), exact_key, table.seed)
        table.searches[f"{name}, {search}"] = {
            **scored.document["triplets"]["exact"],
            "interval": scored.document["interval"],
            **written,
        }
        table.store()
        note(f"{name}, {search}: F1 {scored.document['interval']['value']:.3f}")


def run(arguments: Sequence[str] | None = None) -> None:
    """Measure all rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trained", action="append", default=[], help="NAME=FOLDER; may be repeated")
    parser.add_argument("--encoder", type=Path, help="a folder of `kgp train images`")
    parser.add_argument("--rivals", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--decodings", action="store_true", help="compare searches, with the first --trained")
    parser.add_argument("--limit", type=int, help="at most this many studies of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=record.ROOT / "build" / "generation" / "openi")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    trained = [pair.partition("=") for pair in options.trained]
    stages = [(name, stage) for name, _, folder in trained for stage in _stages(Path(folder))]
    table = Table(options.results, read_parts(options.data, options.limit), options.seed)
    run_most_frequent(table)
    if options.rivals:
        run_rivals(table, options.encoder, options.out)
    for name, stage in stages:
        run_generator(table, name, stage, options.out)
    if options.decodings and stages:
        run_searches(table, *stages[0])


if __name__ == "__main__":
    sys.exit(record.exit_code(run))
