"""The texts of reports as files, for taggers that read files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from kgplatform.batches import Reject
from kgplatform.construct.report import SECTIONS, Report, ReportSource
from kgplatform.errors import InputError

_UNSAFE: Final = re.compile(r"[^\w.-]")


def write(source: ReportSource, folder: Path) -> tuple[int, list[Reject]]:
    """Write each section as `NUMBER-STUDY.SECTION.txt` into a new folder, readable by the user alone.

    Returns how many, and the rows that are no report.

    Raises `InputError` where the folder is there already or cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", "Name a new folder.", path=folder) from None
    count, rejects = 0, []
    for number, report in enumerate(source.reports(), 1):
        if not isinstance(report, Report):
            rejects.append(report)
            continue
        for section in SECTIONS:
            if text := report.sections.get(section):
                name = f"{number:07d}-{_UNSAFE.sub('_', report.study)[:100]}.{section}.txt"
                (folder / name).write_text(text, encoding="utf-8", newline="")
                count += 1
    return count, rejects
