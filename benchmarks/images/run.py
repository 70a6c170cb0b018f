"""What an image encoder tells of OpenI's radiographs, and what it predicts together with similar training images.

    python -m benchmarks.images.run --data $KGP_DATA_DIR [--config settings/offline.yaml] [--seeds 3] [--out FOLDER]

Trained on R2Gen's training part, chosen and calibrated on its validation part; figures are of validation and of the
studies of `openi_xray` that R2Gen does not use (see `data`). Concepts are the heads of the indexers' MeSH codes; the
learnt ones are those of `least` training radiographs. Rows:

    popularity           the training's share of each head, for every radiograph
    nearest neighbours   the share among the most similar training radiographs, by the backbone before the training
    frozen               logistic regression on the backbone's vectors
    encoder              the trained encoder, calibrated; and before calibration
    encoder and graph    with similar training radiographs, compared as embeddings are; `kgp predict image` counts
                         related concepts, too

Figures: macro AUC over learnt heads; mean average precision per head over learnt heads and over all heads of the
training; filtered Hits@1, 5, 10 and MRR over finding heads (a radiograph's other heads are left out of a rank); by how
much the negative log-likelihood is lower than that of popularity; calibration error. Intervals are 95 % bootstrap over
studies, with the same samples for all rows. Pictures and trainings are kept in `--out`, so that a run goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.harness import record
from benchmarks.images.baselines import baseline_predictions, frozen_vectors, training_shares
from benchmarks.images.data import FRONTAL, HELD_OUT, LATERAL, TRAIN, VALIDATION, read_mesh_images
from benchmarks.images.figures import by_frequency, head_figures, reliability
from kgp_models.images import build
from kgp_models.images.calibrate import Calibration
from kgp_models.images.checkpoint import save_image_model
from kgp_models.images.combine import make_terms, neighbour_shares, related_links
from kgp_models.images.examples import ImageExamples
from kgp_models.images.metrics import Array
from kgp_models.images.model import image_outputs
from kgp_models.images.reports import REPORT_TOKENS
from kgp_models.images.settings import ImageSettings
from kgp_models.images.train import CHECKED
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.retrieval.inputs import read_pictures
from kgplatform.cli.output import note, progress
from kgplatform.files import read_json

SETTINGS: Final = Path(__file__).parent / "settings"
RESULTS: Final = Path(__file__).parent / "results"
PART_NAMES: Final = {build.VALIDATION: "validation", build.TEST: HELD_OUT}
ENCODERS: Final = ("encoder, not calibrated", "encoder", "encoder and graph")


def measure_seed(
    parts: Mapping[str, ImageExamples],
    learnt: Mapping[str, ImageExamples],
    settings: ImageSettings,
    seed: int,
    folder: Path,
    lateral: Mapping[str, ImageExamples],
) -> dict[str, Any]:
    """All rows of a seed. `parts` are the frontal radiographs with their heads, which the baselines have; the encoder
    is trained and calibrated on `learnt`, which may have other radiographs in training, and further links in all parts.
    It is measured on the same radiographs and heads, and on `lateral` ones by part, alone and together with the
    frontal ones of their studies; and it is saved in `folder`.
    """
    examples = {build.TRAIN: parts[TRAIN], build.VALIDATION: parts[VALIDATION], build.TEST: parts[HELD_OUT]}
    start_time = time.monotonic()
    trained = build.train_image_model(
        settings,
        open_frozen_backbone(settings.backbone, REPORT_TOKENS),
        settings.backbone,
        {build.TRAIN: learnt[TRAIN], build.VALIDATION: learnt[VALIDATION], build.TEST: learnt[HELD_OUT]},
        folder,
        seed,
        progress=progress,
    )
    links = examples[build.TRAIN].frequent_links(settings.least, settings.stances)
    columns = [list(trained.model.links).index(link) for link in links]
    all_links = examples[build.TRAIN].frequent_links(1, settings.stances)
    shares = training_shares(examples[build.TRAIN], all_links)
    frozen = frozen_vectors(settings, examples, folder.parent)
    counts = examples[build.TRAIN].targets(links).sum(0).astype(int).tolist()
    rows: dict[str, Any] = {}

    def encoder_row(examples: ImageExamples, probabilities: Array) -> dict[str, Any]:
        return {"encoder": head_figures(probabilities, links, all_links, shares, examples, baseline=False)}

    for part in (build.VALIDATION, build.TEST):
        outputs = trained.outputs[part]
        predicted = {name: values[:, columns] for name, values in _predictions(trained, part).items()}
        predicted |= baseline_predictions(frozen, examples, links, part)
        rows[PART_NAMES[part]] = {
            name: head_figures(probabilities, links, all_links, shares, outputs.examples, baseline=name == "popularity")
            for name, probabilities in predicted.items()
        }
        for name in ENCODERS:
            breakdown = rows[PART_NAMES[part]][name]
            breakdown["by frequency"] = by_frequency(predicted[name], links, counts, outputs.examples)
            breakdown["reliability"] = reliability(predicted[name], links, outputs.examples)
        rows |= _view_rows(trained, part, lateral[PART_NAMES[part]], encoder_row, columns, folder)
    save_image_model(
        folder / "encoder",
        trained.model,
        settings,
        data={
            "images": f"OpenI, R2Gen's training part; sha256 {learnt[TRAIN].sha256}",
            "labels": "heads of MeSH codes",
        },
        figures={"best epoch": trained.trained.best_epoch, "seconds": round(trained.trained.seconds, 1)},
    )
    combination = trained.model.combination
    return {
        "seed": seed,
        "training radiographs": len(learnt[TRAIN].images),
        "learnt links": len(trained.model.links),
        "seconds": round(time.monotonic() - start_time, 1),
        "training_seconds": round(trained.trained.seconds, 1),
        "best_epoch": trained.trained.best_epoch,
        "validation_auc_by_epoch": [round(epoch[CHECKED], 4) for epoch in trained.trained.history],
        "combination": None
        if combination is None
        else {key: entry for key, entry in combination.as_dict().items() if key != "biases"},
        "parts": rows,
        "context": record.context(seed),
    }


def _view_rows(
    trained: build.TrainedImages,
    part: str,
    lateral: ImageExamples,
    row: Callable[[ImageExamples, Array], dict[str, Any]],
    columns: Sequence[int],
    folder: Path,
) -> dict[str, Any]:
    """A part's lateral radiographs; and its studies, by the mean of the log-odds of all their radiographs."""
    model, frontal = trained.model, trained.outputs[part]
    paths = [image.path for image in lateral.images]
    pictures = read_pictures(paths, model.picture, folder, progress(f"images, {PART_NAMES[part]}, lateral"))
    lateral = lateral.select(list(pictures.readable))
    _, lateral_logits = image_outputs(model.classifier, model.picture, pictures.values, progress("vectors, lateral"))
    log_odds = torch.logit(model.calibration.probabilities(torch.cat([frontal.logits, lateral_logits])).double())
    radiographs = ImageExamples([*frontal.examples.images, *lateral.images])
    rows_by_study: dict[str, list[int]] = {}
    for number, subject in enumerate(radiographs.subjects):
        rows_by_study.setdefault(subject, []).append(number)
    studies = radiographs.select([rows[0] for rows in rows_by_study.values()])
    by_study = torch.sigmoid(torch.stack([log_odds[rows].mean(0) for rows in rows_by_study.values()])).numpy()
    by_image = torch.sigmoid(log_odds[len(frontal.logits) :]).numpy()
    frontal_studies = set(frontal.examples.subjects)
    with_frontal = [number for number, subject in enumerate(studies.subjects) if subject in frontal_studies]
    return {
        f"{PART_NAMES[part]}, lateral radiographs": row(lateral, by_image[:, list(columns)]),
        f"{PART_NAMES[part]}, studies": row(studies, by_study[:, list(columns)]),
        f"{PART_NAMES[part]}, studies with a frontal radiograph": row(
            studies.select(with_frontal), by_study[with_frontal][:, list(columns)]
        ),
    }


def _predictions(trained: build.TrainedImages, part: str) -> dict[str, Array]:
    """By link, the encoder's probabilities, raw and calibrated, and those together with the training radiographs."""
    outputs, training, model = trained.outputs[part], trained.outputs[build.TRAIN], trained.model
    subjects = outputs.examples.subjects, training.examples.subjects
    embeddings, graph_embeddings = (part.vectors.float() @ model.projection.T for part in (outputs, training))
    near = neighbour_shares(embeddings, graph_embeddings, training.targets, model.shares, subjects)
    terms = make_terms(outputs.logits, near, model.shares, related_links(list(model.links), ()))
    predicted = {
        "encoder, not calibrated": Calibration().probabilities(outputs.logits),
        "encoder": model.calibration.probabilities(outputs.logits),
    }
    if model.combination is not None:
        predicted["encoder and graph"] = torch.sigmoid(model.combination.logits(terms))
    return {name: probabilities.double().numpy() for name, probabilities in predicted.items()}


def run(arguments: Sequence[str] | None = None) -> None:
    """Measure the seeds that are not stored yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=SETTINGS / "openi_heads.yaml")
    parser.add_argument("--lateral", action="store_true", help="train on lateral radiographs, too")
    parser.add_argument("--code-parts", action="store_true", help="learn each head's anatomies and qualifiers, too")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/images"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    settings = ImageSettings.read(options.config)
    name = "_".join([options.config.stem, *["lateral"] * options.lateral, *["code_parts"] * options.code_parts])
    result_path = options.results / f"images_{name}.json"
    parts = read_mesh_images(options.data)
    views = (FRONTAL, LATERAL) if options.lateral else (FRONTAL,)
    learnt = {
        **read_mesh_images(options.data, has_code_parts=options.code_parts),
        TRAIN: read_mesh_images(
            options.data, views, has_code_parts=options.code_parts, has_reports=bool(settings.report_weight)
        )[TRAIN],
    }
    lateral = read_mesh_images(options.data, (LATERAL,))
    described = {"settings": settings.as_dict(), "lateral": options.lateral, "code parts": options.code_parts}
    stored = read_json(result_path) if result_path.is_file() else {}
    is_same = all(stored.get(name) == entry for name, entry in described.items())
    runs: list[dict[str, Any]] = stored["runs"] if stored and is_same else []
    for seed in sorted(set(range(options.seeds)) - {measured["seed"] for measured in runs}):
        measured = measure_seed(parts, learnt, settings, seed, options.out / f"{name}-{seed}", lateral)
        runs.append(measured)
        record.store(result_path, {**described, "runs": runs})
        for part, rows in measured["parts"].items():
            for row_name, figures in rows.items():
                figures_text = f"AUC {figures['macro AUC']}, mAP {figures['mean average precision']}"
                note(f"seed {seed}, {part}, {row_name}: {figures_text}")


if __name__ == "__main__":
    sys.exit(record.exit_code(run))
