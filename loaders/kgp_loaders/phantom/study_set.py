"""Writes the invented study set: images, reports, tables as MIMIC-CXR-JPG lays them out, an ontology, and the truth.

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
from kgp_loaders.phantom.studies import MAX_STUDIES, Study, studies
from kgplatform import contents
from kgplatform.errors import UsageError
from kgplatform.interrupt import end_with_parent, ending_workers, shielded
from kgplatform.staging import Told

SIZE: Final = 256  # pixels of an image's side
BY: Final = "kgp phantom build --studies"
FIRST_LINE: Final = "Invented chest X-ray studies, written by `kgp phantom build`."
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
    """What was written, and where; `existing` tells that it was there already."""

    directory: Path
    studies: int
    images: int
    concepts: int
    edges: int
    seed: int
    existing: bool = False


def build(
    directory: Path,
    count: int = 500,
    seed: int = 7,
    *,
    replace: bool = False,
    images: bool = True,
    workers: int = 1,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    told: Told = lambda _: None,
) -> StudySet:
    """Write the study set into `directory`, all of it or nothing; without `images`, only their names. The same set that
    is there already is left as it is.

    Raises `UsageError` for a number out of range and where the folder holds other files, `InputError` where it holds
    another study set (unless `replace`) or cannot be written.
    """
    if not 1 <= count <= MAX_STUDIES:
        raise UsageError(f"the number of studies must be 1 to {MAX_STUDIES:,}")
    planned = list(studies(count, seed))
    reports = [report.write(study, seed) for study in planned]
    settings = {"studies": count, "seed": seed, "images": images}
    existing = contents.complete(directory, BY, settings)
    if not existing:
        with contents.built(directory, BY, settings, replace=replace, told=told) as staged:
            _write(staged, planned, reports, seed)
            if images:
                _draw(staged, planned, seed, workers, progress)
    edges = sum(len(truth.stances(study, written)) for study, written in zip(planned, reports, strict=True))
    drawn = sum(len(study.views) for study in planned)
    return StudySet(directory, count, drawn, len(ontology.concepts()), edges, seed, existing)


def _write(folder: Path, planned: Sequence[Study], reports: Sequence[report.Report], seed: int) -> None:
    for study, written in zip(planned, reports, strict=True):
        place = folder / study.folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"s{study.study}.txt").write_text(written.text, encoding="utf-8", newline="\n")
    rows = [(study, view, image) for study in planned for view, image in zip(study.views, study.images, strict=True)]
    _table(folder / "mimic-cxr-2.0.0-metadata.csv", METADATA, (_described(*row) for row in rows))
    splits = ((image, study.study, study.subject, study.split) for study, _, image in rows)
    _table(folder / "mimic-cxr-2.0.0-split.csv", ("dicom_id", "study_id", "subject_id", "split"), splits)
    ontology.write(folder / "ontology")
    truth.write(folder / "truth", planned, reports, seed)
    (folder / "construct.yaml").write_text(SETTINGS, encoding="utf-8", newline="\n")
    readme = (
        f"{FIRST_LINE}\nNo patient is behind them. Images, reports and ontology are free of any licence.\n\n"
        f"Studies {len(planned)}, seed {seed}.\nNext: kgp construct run FOLDER\n"
    )
    (folder / "README.txt").write_text(readme, encoding="utf-8", newline="\n")


def _described(study: Study, view: str, image: str) -> tuple[object, ...]:
    portable = view == "AP"
    name = "CHEST (PORTABLE AP)" if portable else "CHEST (PA AND LAT)"
    time = f"{study.time}.{study.number % 1000:03d}"
    return (
        image,
        study.subject,
        study.study,
        name,
        view,
        SIZE,
        SIZE,
        study.date,
        time,
        name,
        _VIEW_CODES[view],
        "Erect",
    )


def _table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _draw(
    folder: Path, planned: Sequence[Study], seed: int, workers: int, progress: Callable[[int, int | None], None]
) -> None:
    """Draw all images, by several processes where that is asked for."""
    drawing = partial(write_images, folder, seed=seed, size=SIZE)
    if workers == 1:
        for done, study in enumerate(planned, 1):
            drawing(study)
            progress(done, len(planned))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool, ending_workers():
        with shielded():
            drawn = pool.map(drawing, planned, chunksize=8)
        for done, _ in enumerate(drawn, 1):
            progress(done, len(planned))
