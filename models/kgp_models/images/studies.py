"""What the images of a study show together: the mean of what each of them shows.

A lateral radiograph shows findings that a frontal one hides, and two views of the same finding err independently.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kgp_models.images.examples import ImageExamples, LabelledImage, Link
from kgp_models.images.prediction import BY_NEIGHBOURS, PredictedLink
from kgplatform.errors import InputError
from kgplatform.generate.inputs import Input

MOST_IMAGES: Final = 12  # of a study, where only the folder says that images belong together
_LEAST: Final = 1e-6  # the lowest probability that counts


def group_by_study(images: Sequence[Input]) -> list[list[int]]:
    """The rows of each study's images: by the study that the data set states, else by folder.

    Raises `InputError` where a folder holds more images than a study has.
    """
    rows_by_study: dict[tuple[str, str], list[int]] = {}
    for row, image in enumerate(images):
        study = image.properties.get("study_id", "")
        folder = str(image.path.parent) if image.path is not None else image.id
        key = (image.properties.get("dataset", ""), study) if study else ("", folder)
        rows_by_study.setdefault(key, []).append(row)
    for (dataset, folder), rows in rows_by_study.items():
        if not dataset and len(rows) > MOST_IMAGES and images[rows[0]].path is not None:
            hint = "Put each study's images into a folder, or give a data set that states studies."
            raise InputError(f"a folder of {len(rows):,} images is not one study: {folder}", hint)
    return list(rows_by_study.values())


def with_study_images(examples: ImageExamples, study_images: Sequence[Input]) -> ImageExamples:
    """The images, and after each the others of its study that lie somewhere: those of its id among `study_images`, as
    `kgplatform.generate.inputs.inputs` gives them with `every_image`. They have its links.
    """
    paths_by_id: dict[str, dict[Path, Input]] = defaultdict(dict)
    for study_image in study_images:
        if study_image.path is not None and study_image.path.is_file():
            paths_by_id[study_image.id].setdefault(study_image.path, study_image)
    images: list[LabelledImage] = []
    for image in examples.images:
        own = paths_by_id[image.id].get(image.path)
        images.append(image if own is None else image._replace(view=own.properties.get("view", image.view)))
        images += [
            image._replace(id=f"{image.id} {path.name}", path=path, view=study_image.properties.get("view", ""))
            for path, study_image in sorted(paths_by_id[image.id].items())
            if path != image.path
        ]
    return ImageExamples(images)


def with_reports(examples: ImageExamples, study_images: Sequence[Input]) -> ImageExamples:
    """The images, each with the report that the data set has for its id."""
    texts = {image.id: " ".join(filter(None, image.sections.values())) for image in study_images}
    return ImageExamples([image._replace(report=texts.get(image.id, "")) for image in examples.images])


def combine_links(predictions: Sequence[Sequence[PredictedLink]]) -> list[PredictedLink]:
    """The links of a study from those of its images, the likeliest first: the mean of the log-odds; of links that only
    similar images of the graph have, the mean of the shares, 0 where an image has none.
    """
    by_link: dict[Link, list[PredictedLink]] = defaultdict(list)
    for predicted in predictions:
        for link in predicted:
            by_link[link.link].append(link)
    combined = [
        PredictedLink(link, _mean(entries, len(predictions)), entries[0].by) for link, entries in by_link.items()
    ]
    return sorted(combined, key=lambda entry: (-entry.probability, entry.link))


def _mean(entries: Sequence[PredictedLink], image_count: int) -> float:
    probabilities = [entry.probability for entry in entries]
    if entries[0].by == BY_NEIGHBOURS:
        return sum(probabilities) / image_count
    clipped = [min(max(probability, _LEAST), 1.0 - _LEAST) for probability in probabilities]
    log_odds = sum(math.log(probability / (1.0 - probability)) for probability in clipped) / len(clipped)
    return 1.0 / (1.0 + math.exp(-log_odds))
