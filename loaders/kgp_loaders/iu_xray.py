"""IU X-ray as R2Gen splits it (Chen et al. 2020), which report generation, and the VLM-KG paper, use.

    annotation.json   {"train": [{"id": "CXR2384_IM-0942", "report": "…", "image_path": ["CXR2384_IM-0942/0.png", …]}],
                       "val": […], "test": […]}
    images/           the images

The first image of a study is the frontal one; with `every_image` the report comes once for each. Reports have findings
alone, without headers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.construct.modality import CHEST_RADIOGRAPH
from kgplatform.construct.report import MORE_IMAGES, Report
from kgplatform.errors import InputError
from kgplatform.schema import image_id

DATASET: Final = "IU X-ray"
FILE: Final = "annotation.json"
SPLITS: Final = ("train", "val", "test")
_ID: Final = re.compile(r"[\w.-]{1,200}")


class _Entry(NamedTuple):
    """A study as the file has it."""

    study: str
    text: str
    images: tuple[str, ...]


class IUXray:
    """The studies as a `kgplatform.construct.report.ReportSource`. Raises `InputError` where the file is missing."""

    kind = "iu-xray"
    version = 2
    credentialed = False  # published without a licence agreement

    def __init__(
        self, folder: Path, views: Sequence[str] = (), splits: Sequence[str] = SPLITS, *, every_image: bool = False
    ) -> None:
        self.path = folder / FILE if folder.is_dir() else folder
        if not self.path.is_file():
            raise InputError("no such file", f"Give R2Gen's folder of IU X-ray, with {FILE}.", path=self.path)
        self.files = (self.path,)
        self.left_out: Counter[str] = Counter()
        self.splits = tuple(splits)
        self.every_image = every_image
        self.parameters: Mapping[str, Any] = {
            "splits": list(self.splits),
            **({"every_image": True} if every_image else {}),  # when set alone: ids of runs stay
        }

    def reports(self) -> Iterator[Report | Reject]:
        """Yield the studies of the splits, in the file's order; a reject's row counts all of them."""
        self.left_out.clear()
        row_number, previous_ids = 0, set[str]()
        for split, records in self._document().items():
            for record in records:
                row_number += 1
                if split not in self.splits:
                    self.left_out["studies of other splits"] += 1
                    continue
                entry = _entry(record)
                if isinstance(entry, _Entry) and entry.study in previous_ids:
                    entry = "the id occurs twice in the file"
                if isinstance(entry, str):
                    yield Reject(self.path, row_number, entry)
                else:
                    previous_ids.add(entry.study)
                    yield from self._reports(entry)

    def _reports(self, entry: _Entry) -> Iterator[Report]:
        """The report with its first image, if there is one, or with each."""
        image_properties = {"dataset": DATASET, "study_id": entry.study, **CHEST_RADIOGRAPH.properties()}
        path_entries = [{"path": f"images/{image_name}"} for image_name in entry.images]
        if not self.every_image and len(path_entries) > 1:
            self.left_out[MORE_IMAGES] += len(path_entries) - 1
        for path_entry in path_entries if self.every_image else (path_entries or [{}])[:1]:
            yield Report(
                entry.study,
                image_id(DATASET, entry.study),
                {"findings": entry.text},
                {**image_properties, **path_entry},
                has_text=bool(entry.text.strip()),
                exam=CHEST_RADIOGRAPH,
            )

    def _document(self) -> dict[str, list[Any]]:
        document = files.read_json(self.path, hint="Give R2Gen's annotation.json.", errors="surrogateescape")
        if not isinstance(document, dict) or not all(isinstance(document.get(split), list) for split in SPLITS):
            raise InputError(f"the file has no lists {', '.join(SPLITS)}", "Give R2Gen's file.", path=self.path)
        return {split: document[split] for split in SPLITS}


def _entry(record: object) -> _Entry | str:
    """The study of an entry, or why it is none."""
    if not isinstance(record, dict) or not files.is_text(record):
        return "the entry is not a JSON object, or not valid UTF-8"
    study_id, report_text, image_paths = record.get("id"), record.get("report"), record.get("image_path")
    if not isinstance(study_id, str) or _ID.fullmatch(study_id) is None:
        return "the id is not 1-200 letters, digits, '.', '_' or '-'"
    if not isinstance(report_text, str):
        return "there is no report"
    if not isinstance(image_paths, list) or not all(
        isinstance(image_path, str) and image_path.isprintable() for image_path in image_paths
    ):
        return "image_path is not a list of paths"
    return _Entry(study_id, report_text, tuple(image_paths))
