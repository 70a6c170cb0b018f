"""Lets the rules and language models judge the same reports: a `kgplatform.construct.comparison.Comparison`.

Reports and concepts are read as `kgp construct run` reads them, and reports leave this machine under the same
conditions. Nothing is written but the stored answers of the models, which make a repetition cheap.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Final

from kgplatform.batches import Reject
from kgplatform.construct import pipeline
from kgplatform.construct.annotate import Annotation, tag
from kgplatform.construct.comparison import ComparedJudge, Comparison, agreement, compared_report
from kgplatform.construct.judgement import Judge, Tagged
from kgplatform.construct.language import is_english
from kgplatform.construct.language_model.client import Refused
from kgplatform.construct.language_model.judge import LLMJudge
from kgplatform.construct.report import Report, ReportSource
from kgplatform.construct.source import NO_SECTIONS, NO_TEXT, NOT_ENGLISH
from kgplatform.construct.spread import Stages, annotated
from kgplatform.errors import InputError, NotFoundError, UsageError
from kgplatform.progress import Progress, SubjectProgress, silent_progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.construct.settings import ConstructionSettings
    from kgplatform.graph import Graph

RULES: Final = "rules"
_MODEL_AT_URL: Final = re.compile(r"(?P<model>.+)@(?P<url>https?://.+)", re.IGNORECASE | re.DOTALL)


def compare_judges(
    settings: ConstructionSettings,
    models: Sequence[str],
    *,
    limit: int = 20,
    graph: Graph | None = None,
    progress: SubjectProgress = silent_progress,
) -> Comparison:
    """Let the rules and each model (``MODEL`` or ``MODEL@URL``) judge the first `limit` reports with text in English.

    Other settings of the models are those of `settings.llm`. Names of the `graph`, where there is one, count as
    `settings` states; nothing is written to it. Raises `UsageError` for a model without a name, one that is named
    twice, and reports that may not be sent to an endpoint; `InputError` where no report has text; `NotFoundError` where
    no concept is in the reports; and `Refused`, which names the model, where one answers none.
    """
    source = pipeline.open_settings_reports(settings)
    with ExitStack() as open_judges:
        judges = list(_judges(settings, models, source, open_judges))
        stages, _ = pipeline.build_stages(settings, judges[0][1], graph)
        left_out: Counter[str] = Counter()
        rejects: list[Reject] = []
        reports, has_all = _first_reports(source, limit, left_out, rejects)
        sections_by_report = [tuple(tag(report, stages.tagger_for(report))) for report in reports]
        _require_mentions(sections_by_report)
        annotations = [
            _annotations(name, reports, replace(stages, judge=judge), progress(f"reports judged by {name}"))
            for name, judge in judges
        ]
        compared_judges = tuple(_compared_judge(name, judge) for name, judge in judges)
    names = [judge.version for judge in compared_judges]
    compared_reports = tuple(
        compared_report(report, sections, report_annotations, names)
        for report, sections, report_annotations in zip(
            reports, sections_by_report, zip(*annotations, strict=True), strict=True
        )
    )
    agreements = tuple(
        agreement(compared_reports, first, second) for first, second in combinations(range(len(judges)), 2)
    )
    by_source = getattr(source, "left_out", {}) if has_all else {}  # known once all reports are read
    all_left_out = {**by_source, **left_out}
    return Comparison(source.kind, compared_judges, compared_reports, agreements, all_left_out, tuple(rejects), has_all)


def _judges(
    settings: ConstructionSettings, models: Sequence[str], source: ReportSource, open_judges: ExitStack
) -> Iterator[tuple[str, Judge]]:
    """The rules, then the models; all are checked before a report is read. `open_judges` closes them."""
    yield RULES, pipeline.build_judge(replace(settings, llm={}), source)
    used_names: set[str] = set()
    if not models:
        raise UsageError("there is no language model to compare with", "Name one or several: --llm MODEL.")
    for model in models:
        endpoint_match = _MODEL_AT_URL.fullmatch(model)
        overrides = {"model": model} if endpoint_match is None else endpoint_match.groupdict()
        if overrides["model"] in used_names:
            hint = "Answers are stored by the model's name: give each model once, and a separate name at each endpoint."
            raise UsageError("a language model is given twice", hint)
        used_names.add(overrides["model"])
        judge = pipeline.build_judge(replace(settings, llm={**settings.llm, **overrides}), source)
        if isinstance(judge, LLMJudge):
            open_judges.callback(judge.close)
        yield overrides["model"], judge


def _first_reports(
    source: ReportSource, limit: int, left_out: Counter[str], rejects: list[Reject]
) -> tuple[list[Report], bool]:
    """The first reports that construction would use, and whether these are all; what comes before is counted.

    Raises `InputError` where there is none.
    """
    reports: list[Report] = []
    for row in source.reports():
        if len(reports) == limit:
            return reports, False
        if isinstance(row, Reject):
            rejects.append(row)
            continue
        report_text = " ".join(row.sections.values())
        if not report_text.strip():
            left_out[NO_SECTIONS if row.has_text else NO_TEXT] += 1
        elif not is_english(report_text):
            left_out[NOT_ENGLISH] += 1
        else:
            reports.append(row)
    if not reports:
        row_count = left_out.total() + len(rejects)
        hint = "Check the columns, or the headers of the sections: FINDINGS:, IMPRESSION:."
        problem = f"none of {counted(row_count, 'reports')} has findings or an impression in English"
        raise InputError(problem, hint, path=source.files[0] if source.files else None)
    return reports, True


def _require_mentions(sections_by_report: Sequence[Sequence[Tagged]]) -> None:
    """Raise `NotFoundError` where there is nothing to decide."""
    if not any(section.mentions for sections in sections_by_report for section in sections):
        reports_text = counted(len(sections_by_report), "reports")
        raise NotFoundError(
            f"no concept's name is in the first {reports_text}", "Name concepts with --lexicon, or raise --limit."
        )


def _annotations(name: str, reports: Sequence[Report], stages: Stages, progress: Progress) -> list[Annotation]:
    """What the judge of the stages says of each report. Raises `Refused` where it is a model that answers none."""
    annotations: list[Annotation] = []
    try:
        for annotation in annotated(reports, stages):
            if isinstance(annotation, Annotation):
                annotations.append(annotation)
            progress(len(annotations), len(reports))
        if isinstance(stages.judge, LLMJudge):
            stages.judge.require_answers()
    except Refused as error:
        raise Refused(f"{name}: {error.message}", error.hint) from None
    return annotations


def _compared_judge(name: str, judge: Judge) -> ComparedJudge:
    if isinstance(judge, LLMJudge):
        return ComparedJudge(name, judge.name, judge.endpoint, judge.usage)
    return ComparedJudge(name, judge.name)
