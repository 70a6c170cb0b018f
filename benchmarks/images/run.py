"""What an image encoder tells of OpenI's radiographs, and what it predicts together with similar training images.

    python -m benchmarks.images.run --data $KGP_DATA_DIR [--config settings/offline.yaml] [--seeds 3] [--out FOLDER]

Trained on R2Gen's training part, chosen and calibrated on its validation part; figures are of validation and of the
studies of `openi_xray` that R2Gen does not use (see `data`). Concepts are the heads of the indexers' MeSH codes; the
learnt ones are those of `least` training radiographs. Rows:

    popularity           the training's share of each head, for every radiograph
    nearest neighbours   the share among the most similar training radiographs, by the backbone before the training
    frozen               logistic regression on the backbone's vectors
    encoder              the trained encoder, calibrated; and before calibration
    encoder and graph    with similar training radiographs and related concepts, as `kgp predict image` predicts

Figures: macro AUC over learnt heads; mean average precision per head over learnt heads and over all heads of the
training; filtered Hits@1, 5, 10 and MRR over finding heads (a radiograph's other heads are left out of a rank); by how
much the negative log-likelihood is lower than that of popularity; calibration error. Intervals are 95 % bootstrap over
studies, with the same samples for all rows. Pictures and trainings are kept in `--out`, so that a run goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness import record
from benchmarks.images.data import FRONTAL, HELD_OUT, LATERAL, TRAIN, VALIDATION, read_mesh_images
from kgp_models.images import build, metrics
from kgp_models.images.calibrate import Calibration, fit_calibration
from kgp_models.images.combine import make_terms, neighbour_shares, related_links, smoothed_shares
from kgp_models.images.examples import ImageExamples, Link
from kgp_models.images.metrics import Array
from kgp_models.images.settings import ImageSettings
from kgp_models.images.train import CHECKED
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.retrieval.inputs import image_features, read_pictures
from kgplatform.cli.output import note, progress

SETTINGS: Final = Path(__file__).parent / "settings"
RESULTS: Final = Path(__file__).parent / "results"
CUTOFFS: Final = (1, 5, 10)
PENALTIES: Final = (0.001, 0.003, 0.01, 0.03, 0.1)  # of the logistic regression, chosen on validation
REGRESSION_STEPS: Final = 200


def measure_seed(
    parts: Mapping[str, ImageExamples], training: ImageExamples, settings: ImageSettings, seed: int, folder: Path
) -> dict[str, Any]:
    """All rows of a seed. `parts` are the frontal radiographs with their heads, which the baselines have; the encoder
    is trained on `training`, and measured on the same radiographs and heads.
    """
    examples = {build.TRAIN: parts[TRAIN], build.VALIDATION: parts[VALIDATION], build.TEST: parts[HELD_OUT]}
    start_time = time.monotonic()
    trained = build.train_image_model(
        settings,
        open_frozen_backbone(settings.backbone),
        settings.backbone,
        {**examples, build.TRAIN: training},
        folder,
        seed,
        progress=progress,
    )
    links = examples[build.TRAIN].frequent_links(settings.least, settings.stances)
    columns = [list(trained.model.links).index(link) for link in links]
    all_links = examples[build.TRAIN].frequent_links(1, settings.stances)
    shares = _shares(examples[build.TRAIN], all_links)
    frozen = _frozen_vectors(settings, examples, folder.parent)
    rows: dict[str, Any] = {}
    for part in (build.VALIDATION, build.TEST):
        outputs = trained.outputs[part]
        predicted = {name: values[:, columns] for name, values in _predictions(trained, part).items()}
        predicted |= _baselines(frozen, examples, links, part)
        rows["validation" if part == build.VALIDATION else HELD_OUT] = {
            name: _figures(probabilities, links, all_links, shares, outputs.examples, baseline=name == "popularity")
            for name, probabilities in predicted.items()
        }
    combination = trained.model.combination
    return {
        "seed": seed,
        "training radiographs": len(training.images),
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


def _predictions(trained: build.TrainedImages, part: str) -> dict[str, Array]:
    """By link, the encoder's probabilities, raw and calibrated, and those together with the training radiographs."""
    outputs, training, model = trained.outputs[part], trained.outputs[build.TRAIN], trained.model
    subjects = outputs.examples.subjects, training.examples.subjects
    near = neighbour_shares(outputs.vectors, training.vectors, training.targets, model.shares, subjects)
    terms = make_terms(outputs.logits, near, model.shares, related_links(list(model.links), ()))
    predicted = {
        "encoder, not calibrated": Calibration().probabilities(outputs.logits),
        "encoder": model.calibration.probabilities(outputs.logits),
    }
    if model.combination is not None:
        predicted["encoder and graph"] = torch.sigmoid(model.combination.logits(terms))
    return {name: probabilities.double().numpy() for name, probabilities in predicted.items()}


def _baselines(
    frozen: Mapping[str, Tensor], examples: Mapping[str, ImageExamples], links: Sequence[Link], part: str
) -> dict[str, Array]:
    """Popularity, neighbours by the backbone before the training, and logistic regression on its vectors."""
    targets = {name: torch.from_numpy(examples[name].targets(links)) for name in examples}
    shares = torch.from_numpy(_shares(examples[build.TRAIN], links)).float()
    near = neighbour_shares(frozen[part], frozen[build.TRAIN], targets[build.TRAIN], shares)
    weights, bias, mean, deviation = fit_regression(
        frozen[build.TRAIN], targets[build.TRAIN], frozen[build.VALIDATION], targets[build.VALIDATION]
    )

    def logits(name: str) -> Tensor:
        return ((frozen[name] - mean) / deviation) @ weights + bias

    calibration = fit_calibration(logits(build.VALIDATION), targets[build.VALIDATION])
    predicted = {
        "popularity": shares.expand(len(frozen[part]), -1),
        "nearest neighbours": near,
        "frozen": calibration.probabilities(logits(part)),
    }
    return {name: probabilities.double().numpy() for name, probabilities in predicted.items()}


def fit_regression(
    vectors: Tensor, targets: Tensor, validation_vectors: Tensor, validation_targets: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights (width, links) and biases of logistic regressions on standardised vectors, with mean and deviation; the
    L2 penalty is that of the highest validation AUC.
    """
    mean, deviation = vectors.mean(0), vectors.std(0).clamp(min=1e-6)
    standard, validation = (vectors - mean) / deviation, (validation_vectors - mean) / deviation
    best: tuple[float, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        weights = torch.zeros(vectors.shape[1], targets.shape[1], requires_grad=True)
        bias = torch.logit(targets.mean(0).clamp(1e-4, 1 - 1e-4)).clone().requires_grad_(True)
        optimizer = torch.optim.LBFGS([weights, bias], max_iter=REGRESSION_STEPS, line_search_fn="strong_wolfe")

        def loss(
            weights: Tensor = weights, bias: Tensor = bias, penalty: float = penalty, optimizer: Any = optimizer
        ) -> Tensor:
            optimizer.zero_grad()
            entropy = torch.nn.functional.binary_cross_entropy_with_logits(standard @ weights + bias, targets)
            total = entropy * targets.shape[1] + penalty * weights.square().sum()
            torch.autograd.backward(total)
            return total

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        logits = (validation @ weights + bias).detach()
        auc = float(np.nanmean(metrics.auc_by_link(logits.double().numpy(), validation_targets.double().numpy())))
        if best is None or auc > best[0]:
            best = auc, weights.detach(), bias.detach()
    assert best is not None
    return best[1], best[2], mean, deviation


def _frozen_vectors(settings: ImageSettings, examples: Mapping[str, ImageExamples], folder: Path) -> dict[str, Tensor]:
    backbone = open_frozen_backbone(settings.backbone)
    return {
        part: image_features(
            backbone,
            read_pictures([image.path for image in part_examples.images], backbone.picture, folder).values,
            progress(f"frozen vectors, {part}"),
        )
        for part, part_examples in examples.items()
    }


def _shares(examples: ImageExamples, links: Sequence[Link]) -> Array:
    targets = torch.from_numpy(examples.targets(links))
    return smoothed_shares(targets[None], torch.full((len(links),), 0.5 / 10))[0].double().numpy()


def _figures(
    probabilities: Array,
    links: Sequence[Link],
    all_links: Sequence[Link],
    shares: Array,
    examples: ImageExamples,
    *,
    baseline: bool,
) -> dict[str, Any]:
    """The figures of a row. Heads that are not learnt have the training's share as their probability."""
    subjects = examples.subjects
    targets = examples.targets(links).astype(float)
    columns = {link: column for column, link in enumerate(all_links)}
    everything = np.broadcast_to(shares, (len(probabilities), len(all_links))).copy()
    everything[:, [columns[link] for link in links]] = probabilities
    all_targets = examples.targets(all_links).astype(float)
    learnt_shares = shares[[columns[link] for link in links]]
    has_both = [column for column in range(len(links)) if 0 < targets[:, column].sum() < len(targets)]
    scores = build.score_probabilities(
        probabilities[:, has_both],
        targets[:, has_both],
        learnt_shares[has_both],
        [links[column] for column in has_both],
        subjects,
    )
    precision = [metrics.average_precision(probabilities[:, column], targets[:, column]) for column in has_both]
    tested = [column for column in range(len(all_links)) if all_targets[:, column].sum() > 0]
    all_precision = [metrics.average_precision(everything[:, column], all_targets[:, column]) for column in tested]
    ranks, rows = filtered_ranks(everything, all_targets)
    figures: dict[str, Any] = {
        "radiographs": len(targets),
        "studies": len(set(subjects)),
        "heads": len(has_both),
        "macro AUC": 0.5 if baseline else scores.auc.as_list(),
        "AUC by head": {} if baseline else scores.auc_by_link,
        "mean average precision": round(float(np.mean(precision)), 4),
        "heads of the training": len(tested),
        "mean average precision, all heads": round(float(np.mean(all_precision)), 4),
        "MRR": _rank_figure(1.0 / ranks, rows, subjects),
        "gain in log-likelihood": scores.gain.as_list(),
        "calibration error": round(scores.calibration_error, 4),
    }
    figures |= {f"Hits@{cutoff}": _rank_figure((ranks <= cutoff).astype(float), rows, subjects) for cutoff in CUTOFFS}
    return figures


def filtered_ranks(scores: Array, targets: Array) -> tuple[Array, NDArray[np.intp]]:
    """The rank of each head of each radiograph among heads that it does not have, ties counted half, and its row."""
    rows, columns = np.nonzero(targets > 0.5)
    own = scores[rows, columns][:, None]
    others = np.where(targets[rows] > 0.5, -np.inf, scores[rows])
    ranks = 1.0 + (others > own).sum(1) + 0.5 * (others == own).sum(1)
    return ranks, rows


def _rank_figure(values: Array, rows: NDArray[np.intp], subjects: Sequence[str]) -> list[float]:
    """The mean over the pairs of a radiograph and a head."""

    def figure(weights: Array) -> Array:
        pair_weights = weights[:, rows]
        mean: Array = pair_weights @ values / pair_weights.sum(1)
        return mean

    return metrics.with_interval(figure, subjects).as_list()


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
    training = read_mesh_images(options.data, views, has_code_parts=options.code_parts)[TRAIN]
    described = {"settings": settings.as_dict(), "lateral": options.lateral, "code parts": options.code_parts}
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        measured = measure_seed(parts, training, settings, seed, options.out / f"{name}-{seed}")
        runs.append(measured)
        record.store(
            result_path,
            {
                "settings": settings.as_dict(),
                "lateral": options.lateral,
                "code parts": options.code_parts,
                "runs": runs,
            },
        )
        for part, rows in measured["parts"].items():
            for name, figures in rows.items():
                note(
                    f"seed {seed}, {part}, {name}: AUC {figures['macro AUC']}, mAP {figures['mean average precision']}"
                )


if __name__ == "__main__":
    sys.exit(record.exit_code(run))
