"""The page of a comparison: all of it is there, nothing in it is markup of a report, and only its user can read it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise, takewhile
from pathlib import Path
from stat import S_IMODE

import pytest

from kgplatform.construct.comparison_page import check_page_path, comparison_page, write_page
from kgplatform.errors import InputError, UsageError
from tests.unit.kgplatform.construct.compared_reports import (
    EFFUSION,
    NEGATIVE,
    NOTHING,
    PNEUMONIA,
    POSITIVE,
    THREE_REPORTS,
    compared,
    comparison,
)

HOSTILE = (
    "</p><script>alert(1)</script><img src=http://192.0.2.1/x onerror=alert(1)>&lt;b&gt; \"' <!-- ]]> "
    "</style><style>*{}</style><meta http-equiv=refresh> \u202egnp.\u2066 \x00\x1b[2J\ufeff"
)


class ParsedPage(HTMLParser):
    """The elements of a page with their attributes, the text, and the rows of its tables as texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.open_elements: list[str] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open_elements.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open_elements.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open_elements:
            self.text += data
        if self.open_elements and {"td", "th"} & set(self.open_elements):
            self.rows[-1][-1] += data

    def attributes(self, tag: str) -> list[Mapping[str, str | None]]:
        """Those of all elements of this name."""
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_has_every_report_and_its_counts_add_up() -> None:
    compared_judges = comparison(*THREE_REPORTS)
    page = ParsedPage(comparison_page(compared_judges))
    assert page.open_elements == []
    for number in range(1, len(compared_judges.reports) + 1):
        assert f"Report {number}: study study {number}" in page.text
    assert len(page.attributes("article")) == len(compared_judges.reports)
    assert len(page.attributes("mark")) == sum(len(report.candidates) for report in compared_judges.reports)
    [difference_head] = [row for row in page.rows if row[:2] == ["First judge", "Second judge"]]
    rows_after = page.rows[page.rows.index(difference_head) + 1 :]
    difference_rows = list(takewhile(lambda row: row[0] != "No.", rows_after))
    for column, agreement in enumerate(compared_judges.agreements, 2):
        names = [compared_judges.judges[index].name for index in (agreement.first, agreement.second)]
        [agreement_row] = [row for row in page.rows if row[0] == " and ".join(names)]
        assert agreement_row[1:4] == [str(agreement.reports), str(agreement.mentioned), str(agreement.equal)]
        assert difference_head[column] == agreement_row[0]
        assert sum(int(row[column]) for row in difference_rows) == agreement.mentioned - agreement.equal
    concept_rows = [row for row in page.rows if row[-1] in ("differ", "equal")]
    assert len(concept_rows) == compared_judges.concepts
    assert [row[-1] for row in concept_rows].count("differ") == compared_judges.disputed
    assert ["2", "pneumonia C9900002", "NEGATIVE", "POSITIVE", "NEGATIVE", "differ"] in concept_rows
    assert ["3", "nodule C9900003", "UNCERTAIN", "NEGATIVE UNCERTAIN", "not mentioned", "differ"] in concept_rows
    assert ["1", "effusion C9900001", "NEGATIVE", "no answer", "NEGATIVE", "equal"] in concept_rows


def test_the_page_is_accessible_and_loads_nothing() -> None:
    page_text = comparison_page(comparison(*THREE_REPORTS))
    page = ParsedPage(page_text)
    assert page.attributes("html") == [{"lang": "en"}]
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.attributes("th"))
    assert len(page.attributes("caption")) == len(page.attributes("table"))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert [attributes["for"] for attributes in page.attributes("label")] == ["only-differences"]
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & {tag for tag, _ in page.elements}
    assert not any(
        name in ("src", "href", "style") or name.startswith("on")
        for _, attributes in page.elements
        for name in attributes
    )
    assert not re.search(r"url\(|@import|https?:", page_text)


def test_the_policy_allows_the_style_of_the_page_alone() -> None:
    page_text = comparison_page(comparison(*THREE_REPORTS))
    [style] = re.findall("<style>(.*?)</style>", page_text, re.DOTALL)
    style_hash = b64encode(sha256(style.encode()).digest()).decode()
    policies = [
        meta["content"]
        for meta in ParsedPage(page_text).attributes("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"]


def test_hostile_texts_and_names_are_text() -> None:
    names = {EFFUSION: f"effusion{HOSTILE}", PNEUMONIA: "pneumonia"}
    text = f"{HOSTILE} {names[EFFUSION]} and pneumonia\n{HOSTILE}"
    report = compared(1, text, {EFFUSION: (POSITIVE, NEGATIVE), PNEUMONIA: (NOTHING, POSITIVE)}, names)
    harmless = compared(1, "effusion and pneumonia", {EFFUSION: (POSITIVE, NEGATIVE), PNEUMONIA: (NOTHING, POSITIVE)})
    judge_names = ("rules", f"model{HOSTILE}")
    page_text = comparison_page(comparison(report, judge_names=judge_names))
    page = ParsedPage(page_text)
    expected_page = ParsedPage(comparison_page(comparison(harmless, judge_names=("rules", "model"))))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in expected_page.elements]
    shown = HOSTILE
    for character in "\u202e\u2066\x00\x1b\ufeff":
        shown = shown.replace(character, "�")
        assert character not in page_text
    assert page.text.count(shown) >= 6  # twice in the text, a name there and in its row, the model's in its columns
    assert "<script" not in page_text.lower().replace("&lt;script", "")


def test_spaces_are_spaces_and_every_character_stays_in_its_position() -> None:
    report = compared(1, "a\u00a0\t\u2003effusion\r\nb", {EFFUSION: (POSITIVE, POSITIVE)})
    page_text = comparison_page(comparison(report, judge_names=("rules", "model")))
    assert '<p class="text">a   <mark>effusion<sup>1</sup></mark> \nb</p>' in page_text


def test_colours_have_contrast_in_light_and_in_dark() -> None:
    page_text = comparison_page(comparison(*THREE_REPORTS))
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in page_text.split("prefers-color-scheme")[:2]
    )
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        pairs = [(name, f"{name}-back") for name in ("positive", "negative", "uncertain", "mark", "differs")]
        pairs += [(name, back) for name in ("text", "faint") for back in ("page", "panel", "differs-back")]
        for text_name, back_name in pairs:
            lighter, darker = sorted((_luminance(colours[text_name]), _luminance(colours[back_name])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text_name, back_name)


def _luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_file_is_for_its_user_and_no_other_file_is_overwritten(tmp_path: Path) -> None:
    compared_judges, path = comparison(*THREE_REPORTS), tmp_path / "page.html"
    write_page(compared_judges, path)
    assert S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="utf-8") == comparison_page(compared_judges)
    path.write_text("mine", encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(InputError, match="already exists"):
        write_page(compared_judges, path)
    assert path.read_text(encoding="utf-8") == "mine"
    write_page(compared_judges, path, force=True)
    assert (S_IMODE(path.stat().st_mode), list(tmp_path.iterdir())) == (0o600, [path])


def test_a_path_that_cannot_be_a_page_is_refused_before_models_are_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would contain html"):
        check_page_path(tmp_path / "page.txt")
    with pytest.raises(InputError, match="its folder does not exist"):
        check_page_path(tmp_path / "none" / "page.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match="a folder, not a file"):
        check_page_path(tmp_path / "folder.html", force=True)
