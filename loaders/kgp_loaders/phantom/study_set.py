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
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from kgp_loaders.phantom import ontology, report, truth
from kgp_loaders.phantom.images import write_images
from kgp_loaders.phantom.studies import MAX_STUDIES, Study, studies
from kgplatform.errors import InputError, UsageError

SIZE: Final = 256  # pixels of an image's side
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
    """What was written, and where."""

    directory: Path
    studies: int
    images: int
    concepts: int
    edges: int
    seed: int


def build(
    directory: Path,
    count: int = 500,
    seed: int = 7,
    *,
    force: bool = False,
    images: bool = True,
    workers: int = 1,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> StudySet:
    """Write the study set into `directory`, all of it or nothing; without `images`, only their names.

    Raises `UsageError` for a number out of range, and `InputError` where the folder holds something else (unless
    `force`) or cannot be written.
    """
    if not 1 <= count <= MAX_STUDIES:
        raise UsageError(f"the number of studies must be 1 to {MAX_STUDIES:,}")
    planned = list(studies(count, seed))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not force:
            _refuse_foreign_folder(directory)
        with TemporaryDirectory(prefix=".phantom-", dir=directory) as staging:
            reports = [report.write(study, seed) for study in planned]
            _write(Path(staging), planned, reports, seed)
            if images:
                _draw(Path(staging), planned, seed, workers, progress)
            _replace(directory, Path(staging))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path=directory) from None
    edges = sum(len(truth.stances(study, written)) for study, written in zip(planned, reports, strict=True))
    drawn = sum(len(study.views) for study in planned)
    return StudySet(directory, count, drawn, len(ontology.concepts()), edges, seed)


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
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(drawing, planned, chunksize=8), 1):
            progress(done, len(planned))


def _replace(directory: Path, staging: Path) -> None:
    """Put what was staged in place of what an earlier call wrote."""
    for path in sorted(staging.iterdir(), key=lambda path: path.name == "README.txt"):
        old = directory / path.name
        if old.is_dir():
            shutil.rmtree(old)
        path.replace(old)


def _refuse_foreign_folder(directory: Path) -> None:
    readme = directory / "README.txt"
    there = [path for path in directory.iterdir() if not path.name.startswith(".phantom-")]
    ours = readme.is_file() and readme.read_text(encoding="utf-8", errors="replace").startswith(FIRST_LINE)
    if there and not ours:
        hint = "Choose another folder, or overwrite with --force."
        raise InputError("the folder holds something other than invented studies", hint, path=directory)
