"""What a generator has to beat on OpenI: nearest neighbours, regressions, and the codes of an image encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from benchmarks.generation.openi_studies import OpenIStudies, micro_f1, study_targets, texts
from benchmarks.generation.scores import Triplets
from kgp_models.generator.classifier import TripletClassifier
from kgp_models.images.checkpoint import load_image_model
from kgp_models.images.model import image_outputs
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.retrieval.inputs import image_features, read_pictures
from kgplatform.cli.output import progress
from kgplatform.triplets.codes import code_triplets

LEAST: Final = 3  # training studies that have a triplet, at least, for the regressions to learn it
PENALTIES: Final = (10.0, 100.0)  # C of the regressions, chosen on validation
THRESHOLDS: Final = tuple(np.linspace(0.05, 0.6, 23))
Matrix = NDArray[Any]


def report_rivals(studies: OpenIStudies) -> dict[str, dict[str, list[Triplets]]]:
    """What the nearest report has, and TF-IDF with logistic regression, by part."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    training = vectoriser.fit_transform(texts(studies.training))
    vectors = {name: vectoriser.transform(texts(part)) for name, part in studies.parts.items()}
    targets = study_targets(studies.training)
    nearest = {
        name: [targets[row] for row in np.asarray((part @ training.T).todense()).argmax(1)]
        for name, part in vectors.items()
    }
    regression = regressions(training, studies, vectors, PENALTIES)
    return {"nearest report": nearest, "TF-IDF, logistic regression": regression}


def image_rivals(studies: OpenIStudies, spec: str, folder: Path) -> dict[str, dict[str, list[Triplets]]]:
    """What the most similar radiograph has, and the generator's classifier on the vectors, by part."""
    backbone = open_frozen_backbone(spec)
    vectors = {}
    for name, part in (("training", studies.training), *studies.parts.items()):
        paths = [study.image for study in part if study.image is not None]
        pictures = read_pictures(paths, backbone.picture, folder, progress(f"images, {name}"))
        vectors[name] = image_features(backbone, pictures.values, progress(f"vectors, {name}")).float()
    targets = study_targets(studies.training)
    training = vectors.pop("training")
    directions = functional.normalize(training, dim=-1)
    nearest = {
        name: [targets[row] for row in (functional.normalize(part, dim=-1) @ directions.T).argmax(1).tolist()]
        for name, part in vectors.items()
    }
    validation = study_targets(studies.parts["validation"])
    classifier = TripletClassifier.from_training(training, targets, vectors["validation"], validation)
    rows = {f"nearest radiograph, {spec_name(spec)}": nearest}
    if classifier is not None:
        rows[f"classifier, {spec_name(spec)}"] = {
            name: [tuple(scored.triplet for scored in written or ()) for written in classifier.scored(part)]
            for name, part in vectors.items()
        }
    return rows


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
    validation = study_targets(studies.parts["validation"])
    thresholds = [
        (micro_f1(_above(scores["validation"], kinds, float(threshold)), validation), float(threshold))
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

    counts = Counter(triplet for targets in study_targets(studies.training) for triplet in targets)
    kinds = sorted(triplet for triplet, number in counts.items() if number >= LEAST)
    has_triplet = np.array(
        [[kind in targets for kind in kinds] for targets in map(set, study_targets(studies.training))]
    )
    validation = study_targets(studies.parts["validation"])
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
            f1 = micro_f1(predicted["validation"], validation)
            if f1 > best[0]:
                best = f1, predicted
    return best[1]


def _above(scores: Matrix, kinds: Sequence[Any], threshold: float) -> list[Triplets]:
    return [tuple(kinds[column] for column in np.flatnonzero(row > threshold).tolist()) for row in scores]
