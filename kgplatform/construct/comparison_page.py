"""A comparison of judges as one HTML page: agreement on top, then each report with its mentions and all decisions.

The page works alone: it has no script, loads nothing, and its policy lets a browser apply no style but its own. All
text is escaped. It contains report text, so the file is readable by its user only.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files as package_files
from pathlib import Path
from typing import Final

import kgplatform
from kgplatform import files
from kgplatform.construct.comparison import (
    Agreement,
    ComparedConcept,
    ComparedReport,
    Comparison,
    Stances,
    stance_label,
)
from kgplatform.construct.judgement import Tagged
from kgplatform.errors import InputError
from kgplatform.schema import Stance
from kgplatform.wording import counted

_OVERWRITE: Final = "Overwrite it with --force, or give another name."
_UNDEFINED: Final = "undefined"


def check_page_path(path: Path, *, force: bool = False) -> None:
    """Raise `UsageError` for another suffix than ``.html``, and `InputError` for a file that exists already (but for
    `force`) and for a folder that does not exist. Called before models are asked.
    """
    files.require_suffix(path, ".html")
    if path.is_dir() or not path.parent.is_dir():
        raise files.unwritable(path, NotADirectoryError())
    if path.exists() and not force:
        raise InputError("the file already exists", _OVERWRITE, path=path)


def write_page(comparison: Comparison, path: Path, *, force: bool = False) -> None:
    """Write the page, whole or not at all, readable by the user alone. Raises as `check_page_path` does, and
    `InputError` where the file cannot be written.
    """
    check_page_path(path, force=force)
    page_bytes = comparison_page(comparison).encode()
    with files.replacing(path, lambda _: force) as staged_path:
        descriptor = os.open(staged_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(page_bytes)


def comparison_page(comparison: Comparison) -> str:
    """The page."""
    style = package_files("kgplatform.construct").joinpath("comparison_page.css").read_text(encoding="utf-8")
    style_hash = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    title = f"Rules and language models on the same {counted(len(comparison.reports), 'reports')}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">',
            f'<meta name="generator" content="kgplatform {_text(kgplatform.__version__)}">',
            f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>{_text(title)}</h1>",
            '<p class="notice">This page contains the text of reports. Store it only where the reports may be stored.'
            "</p>",
            f"<p>{_text(_summary(comparison))}</p>",
            _judges_section(comparison),
            _agreement_section(comparison),
            _differences_section(comparison),
            _reports_section(comparison),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _summary(comparison: Comparison) -> str:
    first = "" if comparison.has_all else "The first "
    left_out = [f"{count:,} {reason}" for reason, count in comparison.left_out.items()]
    if comparison.rejects:
        left_out.append(counted(len(comparison.rejects), "rows that are no reports", "row that is no report"))
    return (
        f"{first}{counted(len(comparison.reports), 'reports')} of {comparison.kind} with findings or an impression, "
        f"{counted(comparison.concepts, 'concepts')} with a stance, {comparison.disputed:,} of them with different "
        f"decisions.{' Left out: ' + '; '.join(left_out) + '.' if left_out else ''}"
    )


def _judges_section(comparison: Comparison) -> str:
    columns = ("Judge", "Endpoint", "Version", "No answer", *(stance.value for stance in Stance))
    rows = []
    for judge_index, judge in enumerate(comparison.judges):
        reasons = {} if judge.usage is None else judge.usage.reasons
        reasons_text = "; ".join(f"{reason}: {count:,}" for reason, count in sorted(reasons.items()))
        unanswered = f"{comparison.unanswered(judge_index):,}" + (f" ({reasons_text})" if reasons_text else "")
        stance_counts = [f"{count:,}" for count in comparison.stance_counts(judge_index).values()]
        endpoint = judge.endpoint or "none"
        rows.append((judge.name, endpoint, judge.version, unanswered, *stance_counts))
    note = (
        "No answer: reports that construction would leave to the rules, with the reasons (reports with the same text "
        "count once there). They are not a part of the model's figures. The other columns count the stances."
    )
    return _section(
        "Judges", _table(columns, rows, "The judges, with how often each gives a stance", numbers=len(Stance)), note
    )


def _agreement_section(comparison: Comparison) -> str:
    columns = ("Judges", "Reports", "Concepts", "Equal", "Share", "Cohen's kappa")
    rows = [
        (
            _pair(comparison, agreement),
            f"{agreement.reports:,}",
            f"{agreement.mentioned:,}",
            f"{agreement.equal:,}",
            _decimal(agreement.share),
            _decimal(agreement.kappa),
        )
        for agreement in comparison.agreements
    ]
    note = (
        "Concepts: those of a report to which at least one of the two judges gives a stance; share: how many of these "
        "have the same stance by both. Kappa is about all candidate concepts, with “not mentioned” as a category: 1 is "
        "perfect agreement, 0 that of chance. Only reports that both answered count."
    )
    return _section("Agreement", _table(columns, rows, "Agreement of each pair of judges", numbers=5), note)


def _differences_section(comparison: Comparison) -> str:
    totals: Counter[tuple[str, str]] = Counter()
    for agreement in comparison.agreements:
        totals.update(agreement.differences)
    if not totals:
        return _section("Disagreements", "<p>There are none.</p>")
    columns = (
        "First judge",
        "Second judge",
        *(_pair(comparison, agreement) for agreement in comparison.agreements),
    )
    rows = [
        (*labels, *(f"{agreement.differences.get(labels, 0):,}" for agreement in comparison.agreements))
        for labels, _ in sorted(totals.items(), key=lambda total: (-total[1], total[0]))
    ]
    caption = "Concepts with different decisions of a pair of judges, by its first and its second judge's decision"
    return _section("Disagreements", _table(columns, rows, caption, numbers=len(comparison.agreements)))


def _pair(comparison: Comparison, agreement: Agreement) -> str:
    return f"{comparison.judges[agreement.first].name} and {comparison.judges[agreement.second].name}"


def _reports_section(comparison: Comparison) -> str:
    judge_names = [judge.name for judge in comparison.judges]
    report_parts = [
        _report_part(number, compared, judge_names) for number, compared in enumerate(comparison.reports, 1)
    ]
    return (
        '<section aria-labelledby="reports">\n<h2 id="reports">Reports</h2>\n'
        '<p class="note">Marked words are mentions; their numbers are those of the rows below.</p>\n'
        '<input type="checkbox" id="only-differences">\n'
        '<label class="filter" for="only-differences">Show only what judges decide differently</label>\n'
        f'<div class="reports">\n{chr(10).join(report_parts)}\n</div>\n</section>'
    )


def _report_part(number: int, compared: ComparedReport, judge_names: Sequence[str]) -> str:
    concepts = compared.concepts
    disputed_count = sum(concept.is_disputed for concept in concepts)
    row_numbers = {concept.cui: row_number for row_number, concept in enumerate(concepts, 1)}
    texts = "\n".join(
        f'<h4>{_text(section.section.capitalize())}</h4>\n<p class="text">{_marked(section, row_numbers)}</p>'
        for section in compared.sections
    )
    caption = f"{counted(len(concepts), 'concepts')}, {disputed_count:,} with different decisions"
    table = _concept_table(concepts, judge_names, caption) if concepts else "<p>No judge gives a stance.</p>"
    return (
        f'<article class="report {"differs" if disputed_count else "agrees"}" aria-labelledby="report-{number}">\n'
        f'<h3 id="report-{number}">Report {number}: study {_text(compared.report.study)}</h3>\n{texts}\n{table}\n'
        "</article>"
    )


def _marked(section: Tagged, row_numbers: Mapping[str, int]) -> str:
    """The section's text with its mentions marked, each with the rows of its concepts."""
    parts: list[str] = []
    position = 0
    for mention in sorted(section.mentions):
        if mention.start < position:  # a tagger of another package may have mentions that overlap
            continue
        rows = sorted({row_numbers[concept.cui] for concept in mention.candidates if concept.cui in row_numbers})
        row_text = f"<sup>{', '.join(map(str, rows))}</sup>" if rows else ""
        parts.append(_text(section.text[position : mention.start]))
        parts.append(f"<mark>{_text(section.text[mention.start : mention.end])}{row_text}</mark>")
        position = mention.end
    return "".join([*parts, _text(section.text[position:])])


def _concept_table(concepts: Iterable[ComparedConcept], judge_names: Sequence[str], caption: str) -> str:
    head = _head(("No.", "Concept", *judge_names, "Decisions"))
    rows = []
    for number, concept in enumerate(concepts, 1):
        row_class, word = ("differs", "differ") if concept.is_disputed else ("agrees", "equal")
        cells = "".join(f"<td>{_stance_cell(decision)}</td>" for decision in concept.decisions)
        rows.append(
            f'<tr class="{row_class}"><td class="number">{number}</td><th scope="row">{_text(concept.name)} '
            f'<span class="code">{_text(concept.cui)}</span></th>{cells}<td>{word}</td></tr>'
        )
    return _framed_table(caption, head, rows)


def _stance_cell(stances: Stances | None) -> str:
    """The stances in words, which a colour repeats."""
    if not stances:
        return f'<span class="absent">{_text(stance_label(stances))}</span>'
    return " ".join(
        f'<span class="stance {stance.value.lower()}">{_text(stance.value)}</span>'
        for stance in Stance
        if stance in stances
    )


def _section(title: str, content: str, note: str = "") -> str:
    identifier = title.lower()
    note_part = f'\n<p class="note">{_text(note)}</p>' if note else ""
    return (
        f'<section aria-labelledby="{identifier}">\n<h2 id="{identifier}">{_text(title)}</h2>\n{content}{note_part}\n'
        "</section>"
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str, *, numbers: int) -> str:
    """A table whose first column names its rows and whose last `numbers` columns are numbers."""
    body = []
    for name, *values in rows:
        first_number = len(values) - numbers
        cells = "".join(
            f'<td class="number">{_text(value)}</td>' if index >= first_number else f"<td>{_text(value)}</td>"
            for index, value in enumerate(values)
        )
        body.append(f'<tr><th scope="row">{_text(name)}</th>{cells}</tr>')
    return _framed_table(caption, _head(columns), body)


def _head(columns: Iterable[str]) -> str:
    return "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)


def _framed_table(caption: str, head: str, rows: Iterable[str]) -> str:
    body = "\n".join(rows)
    return (
        f'<div class="scroll" role="region" aria-label="{_text(caption)}" tabindex="0">\n'
        f"<table>\n<caption>{_text(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _decimal(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.3f}"


def _text(raw_text: str) -> str:
    """The text for HTML, character by character: spaces and line breaks stay, and characters without a visible form,
    such as the marks that turn the direction of a line, is a question mark.
    """
    return escape("".join(_displayed(raw_text)))


def _displayed(raw_text: str) -> Iterator[str]:
    for character in raw_text:
        if character.isprintable() or character == "\n":
            yield character
        else:
            yield " " if character.isspace() or unicodedata.category(character) == "Zs" else "�"
