"""Writes the synthetic study set: images, reports, tables as MIMIC-CXR-JPG lays them out, an ontology, and the truth.

    files/p90/p90…/s90….txt                        the report
    files/p90/p90…/s90…/8-8-8-8-8.png              an image; for some also .dcm
    mimic-cxr-2.0.0-metadata.csv, …-split.csv      views and splits, with MIMIC's columns
    ontology/*.RRF                                 names, types and relations in UMLS's form
    truth/                                         what construction is to find
    construct.yaml                                 how `kgp construct run` reads this folder

The same number of studies and seed give the same bytes with the same versions of numpy, Pillow and pydicom.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from kgp_loaders.phantom import ontology, report, truth
from kgp_loaders.phantom.images import write_images
from kgp_loaders.phantom.studies import MAX_STUDIES, SyntheticStudy, synthetic_studies
from kgplatform import contents
from kgplatform.errors import UsageError
from kgplatform.interrupt import end_with_parent, ending_workers, shielded
from kgplatform.trained_on import STUDY_COMMAND

SIZE: Final = 256  # pixels of an image's side
FIRST_LINE: Final = "Synthetic chest X-ray studies, written by `kgp phantom build`."
SETTINGS: Final = """\
# How `kgp construct run` reads this folder.
reports: mimic-cxr
path: .
lexicon: [ontology]
graph_names: false
own_words: false
"""
METADATA: Final = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
    "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
_VIEW_CODES: Final = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}


@dataclass(frozen=True)
class StudySet:
    """What was written, and where; `existing` says that it existed already."""

    directory: Path
    studies: int
    images: int
    concepts: int
    edges: int
    seed: int
    existing: bool = False


def build_study_set(
    directory: Path,
    count: int = 500,
    seed: int = 7,
    *,
    replace: bool = False,
    images: bool = True,
    workers: int = 1,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> StudySet:
    """Write the study set into `directory`, all of it or nothing; without `images`, only their names. The same set that
    exists already is left unchanged.

    Raises `UsageError` for a number out of range and where the folder holds other files, `InputError` where it holds
    another study set (unless `replace`) or cannot be written.
    """
    if not 1 <= count <= MAX_STUDIES:
        raise UsageError(f"the number of studies must be 1 to {MAX_STUDIES:,}")
    planned_studies = list(synthetic_studies(count, seed))
    reports = [report.write_report(study, seed) for study in planned_studies]
    settings = {"studies": count, "seed": seed, "images": images}
    existing = contents.complete(directory, STUDY_COMMAND, settings)
    if not existing:
        with contents.result_folder(directory, STUDY_COMMAND, settings, replace=replace) as staged_folder:
            _write(staged_folder, planned_studies, reports, seed)
            if images:
                _draw(staged_folder, planned_studies, seed, workers, progress)
    edge_count = sum(
        len(truth.stances(study, study_report)) for study, study_report in zip(planned_studies, reports, strict=True)
    )
    image_count = sum(len(study.views) for study in planned_studies)
    return StudySet(directory, count, image_count, len(ontology.concepts()), edge_count, seed, existing)


def _write(
    folder: Path, planned_studies: Sequence[SyntheticStudy], reports: Sequence[report.SyntheticReport], seed: int
) -> None:
    for study, study_report in zip(planned_studies, reports, strict=True):
        study_folder = folder / study.folder
        study_folder.mkdir(parents=True, exist_ok=True)
        (study_folder / f"s{study.study}.txt").write_text(study_report.text, encoding="utf-8", newline="\n")
    image_rows = [
        (study, view, image_id)
        for study in planned_studies
        for view, image_id in zip(study.views, study.images, strict=True)
    ]
    _table(folder / "mimic-cxr-2.0.0-metadata.csv", METADATA, (_described(*image_row) for image_row in image_rows))
    split_rows = ((image_id, study.study, study.subject, study.split) for study, _, image_id in image_rows)
    _table(folder / "mimic-cxr-2.0.0-split.csv", ("dicom_id", "study_id", "subject_id", "split"), split_rows)
    ontology.write_ontology(folder / "ontology")
    truth.write_truth(folder / "truth", planned_studies, reports, seed)
    (folder / "construct.yaml").write_text(SETTINGS, encoding="utf-8", newline="\n")
    readme_text = (
        f"{FIRST_LINE}\nThey describe no real patient. Images, reports and ontology are free of any licence.\n\n"
        f"Studies {len(planned_studies)}, seed {seed}.\nNext: kgp construct run FOLDER\n"
    )
    (folder / "README.txt").write_text(readme_text, encoding="utf-8", newline="\n")


def _described(study: SyntheticStudy, view: str, image_id: str) -> tuple[object, ...]:
    is_portable = view == "AP"
    procedure = "CHEST (PORTABLE AP)" if is_portable else "CHEST (PA AND LAT)"
    study_time = f"{study.time}.{study.number % 1000:03d}"
    return (
        image_id,
        study.subject,
        study.study,
        procedure,
        view,
        SIZE,
        SIZE,
        study.date,
        study_time,
        procedure,
        _VIEW_CODES[view],
        "Erect",
    )


def _table(csv_path: Path, columns: Sequence[str], csv_rows: Iterable[Sequence[object]]) -> None:
    with csv_path.open("w", encoding="utf-8", newline="") as csv_file:
        writer = csv.writer(csv_file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(csv_rows)


def _draw(
    folder: Path,
    planned_studies: Sequence[SyntheticStudy],
    seed: int,
    workers: int,
    progress: Callable[[int, int | None], None],
) -> None:
    """Draw all images, by several processes where that is asked for."""
    draw_study = partial(write_images, folder, seed=seed, size=SIZE)
    if workers == 1:
        for finished_count, study in enumerate(planned_studies, 1):
            draw_study(study)
            progress(finished_count, len(planned_studies))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as executor, ending_workers():
        with shielded():
            results = executor.map(draw_study, planned_studies, chunksize=8)
        for finished_count, _ in enumerate(results, 1):
            progress(finished_count, len(planned_studies))
