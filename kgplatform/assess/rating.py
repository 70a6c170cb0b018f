"""A workbook for raters from a live graph: the sample is drawn, its images and reports are read, and it is written."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from kgplatform.assess.picture import Thumbnails
from kgplatform.assess.sample import Sample, draw_sample
from kgplatform.assess.workbook import write_rating_workbook
from kgplatform.construct.report import Report, ReportSource
from kgplatform.errors import InputError
from kgplatform.files import require_suffix
from kgplatform.graph import Graph
from kgplatform.wording import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RatingWorkbook:
    """A workbook that was written: what it asks about, how many images are embedded and how many were left out by
    reason, and of how many images it has the report.
    """

    sample: Sample
    embedded: int
    left_out: Mapping[str, int]
    reports: int


def check_workbook_path(path: Path, *, force: bool = False) -> None:
    """Raise `InputError` for a file that exists already (but for `force`), and `UsageError` for another suffix than
    ``.xlsx``.
    """
    if path.exists() and not force:
        raise InputError("the file already exists", "It may contain ratings. Overwrite it with --force.", path=path)
    require_suffix(path, ".xlsx")


def write_rating_sample(
    graph: Graph,
    out: Path,
    images: int = 30,
    concepts: int = 30,
    max_images: int = 10,
    seed: int = 42,
    *,
    image_root: Path | None = None,
    reports: ReportSource | None = None,
) -> RatingWorkbook:
    """Draw random images and concepts of the graph, and write the workbook that asks raters about them.

    `max_images` of a concept's images are shown. With `image_root`, the folder that the images' paths begin in, images
    are embedded; with `reports`, their texts are shown. What was left out is logged. Raises `UsageError` for
    numbers below 1, `NotFoundError` where the graph has nothing to rate, and `InputError` where none of the reports is
    of one of the images, and where the file cannot be written.
    """
    thumbnails = None if image_root is None else Thumbnails(image_root)
    sample = draw_sample(graph, images, concepts, seed, max_images, thumbnails or (lambda path: True))
    left_out = dict(thumbnails.left_out) if thumbnails is not None else {}
    for reason, image_count in left_out.items():
        logger.warning(f"left out of the sample: {counted(image_count, 'images')} {reason}")
    for kind_name, drawn_count, requested_count in (
        ("images", len(sample.images), images),
        ("concepts", len(sample.concepts), concepts),
    ):
        if drawn_count < requested_count:
            logger.warning(
                f"{drawn_count:,} {kind_name} instead of {requested_count:,}: there are no more that raters can see"
            )
    report_texts: dict[str, str] = {}
    if reports is not None:
        report_texts = _report_texts(reports, {image_item.id for image_item in sample.images})
        logger.warning(
            f"{out} holds the text of {counted(len(report_texts), 'reports')}: store it only where reports may be"
        )
    embedded_count = write_rating_workbook(sample, out, thumbnails, report_texts)
    return RatingWorkbook(sample, embedded_count, left_out, len(report_texts))


def _report_texts(source: ReportSource, image_ids: Collection[str]) -> dict[str, str]:
    """The text of each image's report, by the image's id."""
    report_texts: dict[str, str] = {}
    for report_row in source.reports():
        if isinstance(report_row, Report) and report_row.image_id in image_ids:
            report_texts[report_row.image_id] = "\n\n".join(
                f"{section_name.upper()}: {section_text}" for section_name, section_text in report_row.sections.items()
            )
    if image_ids and not report_texts:
        hint = "Give the reports that the graph was built from."
        raise InputError("none of these reports belongs to one of the images", hint, path=source.files[0])
    return report_texts
