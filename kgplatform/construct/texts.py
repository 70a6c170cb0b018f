"""The texts of reports as files, for taggers that read files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from kgplatform import staging
from kgplatform.batches import Reject
from kgplatform.construct.report import SECTIONS, Report, ReportSource
from kgplatform.errors import InputError

_UNSAFE: Final = re.compile(r"[^\w.-]")


def write_sections(source: ReportSource, folder: Path) -> tuple[int, list[Reject]]:
    """Write each section as `NUMBER-STUDY.SECTION.txt` into a new folder, readable by the user alone.

    Returns how many, and the rows that are no report.

    Raises `InputError` where the folder exists already or cannot be written.
    """
    if os.path.lexists(folder):
        raise InputError("cannot be created: it already exists", "Give the name of a new folder.", path=folder)
    file_count, rejects = 0, []
    with staging.staged_folder(folder, lambda _: (), mode=0o700) as staged_folder:
        for report_number, report in enumerate(source.reports(), 1):
            if not isinstance(report, Report):
                rejects.append(report)
                continue
            for section in SECTIONS:
                if section_text := report.sections.get(section):
                    file_name = f"{report_number:07d}-{_UNSAFE.sub('_', report.study)[:100]}.{section}.txt"
                    (staged_folder / file_name).write_text(section_text, encoding="utf-8", newline="")
                    file_count += 1
    return file_count, rejects
