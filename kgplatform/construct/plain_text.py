r"""The text of a report without what programs that exported it have left in it.

Line ends come as those of other systems, of HL7 (``~``, ``\.br\``, ``\X0A\``), of Excel (``_x000D_``), of HTML
(``<br>``, ``<p>``), or escaped as two characters; characters as HTML's entities, or as Windows-1252 that was read as
another encoding. `clean_text` makes them plain. `plain_text` also makes one form of headers: tables in Markdown, and
marks such as ``=>`` after a known name, become "NAME: text".
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from kgplatform.construct.section_names import (
    ANATOMY,
    COMMON_WORDS,
    EXAM,
    FINDINGS,
    IMPRESSION,
    KINDS,
    OTHER,
    header_kind,
    name_words,
)

_BREAKS: Final = re.compile(
    r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029\xb6\u21b5]|\\{1,2}r\\{1,2}n|\\{1,2}n|\\{1,2}r(?![a-z])|\\par\b ?"
    r"|\\(?:E\\)?\.(?:br|sp\d{0,2})(?:\\E)?\\|\\X0[AD](?:0[AD])?\\|_x000[AD]_(?:\r?\n)?|\^M(?![a-z])\n?",
)
_MAY_BREAK: Final = re.compile(r"[\r\\\x0b\x0c\x1c-\x1e\x85\u2028\u2029\xb6\u21b5_^]")
_HL7_BREAK: Final = re.compile(
    r"(?<=\S)~(?![ ]?\d{1,4}(?:[.,]\d{1,4})?(?![.,\d)]))|(?<=[ ])~(?=[ ]*(?:[A-Z\n]|\d{1,2}[.)][ ]))"  # not "~3 cm"
)
_HL7_STYLE: Final = re.compile(r"\\[HN]\\")
_ENTITY: Final = re.compile(r"&(?:#\d{1,5}|#[xX][0-9A-Fa-f]{1,4}|[A-Za-z]{2,8});")
_BLOCK_TAG: Final = re.compile(
    r"</?(?:br|p|div|li|ul|ol|tr|table|tbody|thead|h[1-6]|section|hr)\b[^<>]{0,200}>", re.IGNORECASE
)
_CELL_TAG: Final = re.compile(r"</(?:td|th)\b[^<>]{0,200}>\s*|<(?:td|th)\b[^<>]{0,200}>", re.IGNORECASE)
_NAME_TAG: Final = re.compile(r"<([A-Za-z_]{4,30})>")
_TAG: Final = re.compile(r"</?[a-z][\w:]{0,29}(?:\s[^<>=]{0,40}=[^<>]{0,200})?\s?/?>", re.IGNORECASE)
# UTF-8 that was read as Windows-1252 or Latin-1, and the marks of Windows-1252 that were read as Latin-1.
_MISREAD: Final = re.compile(
    r"\xe2\u20ac(?:[\u201c\u201d\u02dc\u2122\u0153\xa6\xa2\x93\x94\x98\x99\x9c\x9d])?|\xc2(?=[\xa0 ])"
)
_MISREAD_MARKS: Final = {
    "\u201c": "\u2013", "\x93": "\u2013", "\u201d": "\u2014", "\x94": "\u2014", "\u02dc": "'", "\x98": "'",
    "\u2122": "'", "\x99": "'", "\u0153": '"', "\x9c": '"', "\x9d": '"', "\xa6": "...", "\xa2": "\u2022",
}  # fmt: skip
_WINDOWS_1252: Final = {0x91: "'", 0x92: "'", 0x93: '"', 0x94: '"', 0x95: "\u2022", 0x96: "\u2013", 0x97: "\u2014"}

_RULE: Final = re.compile(r"[\s|:+=-]{3,}")  # a line of a table that only separates others
_MAX_CELLS: Final = 20
_ARROW: Final = r"[-\u2010-\u2015=~:]{0,3}[>\u00bb\u2192\u21d2\u2794\u279c\u27a4\u25ba\u25b6\u2b95]{1,3}"
_MARK: Final = re.compile(
    rf"[ ]?(?:(?P<arrow>{_ARROW})|(?P<bar>\|)|={{1,3}}|(?<=\s)[-\u2010-\u2015]{{1,3}}|[\u2012-\u2015]|--"
    r"|(?<=[A-Z])-(?=[A-Z][a-z])|\.\.\.|(?<=\s)[.;](?=[ ])|;(?=\S)|[~\u2022])[ ]*"
)
_HAS_MARK: Final = re.compile(r"[=>|~;\u2010-\u2015\u2022\u00bb\u2192\u21d2\u2794\u279c\u27a4\u25ba\u25b6\u2b95]")
_COMMON_MARKS: Final = (" -", "--", "...", " . ")
_TIGHT_DASH: Final = re.compile(r"-[A-Z][a-z]")
_MAX_NAME: Final = 60  # characters before a mark that are looked at
_BEFORE_NAME: Final = re.compile(r".*[\n.!?;:|>\"'\u2022](?:[^A-Za-z\n]{0,8}(?=[A-Za-z]))?", re.DOTALL)
_BEFORE_FIRST: Final = " #*_-([0123456789)."
_CAPITALS: Final = re.compile(r"(?:[A-Z]{2,}[ /&]{0,3}){1,6}$")


def clean_text(text: str) -> str:
    """The text with one form of characters and line ends, and without HTML's tags."""
    if "&" in text:
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if not text.isascii():
        text = _MISREAD.sub(
            lambda misread: _MISREAD_MARKS.get(misread[0][2:], "'" if len(misread[0]) > 1 else ""), text
        )
        text = unicodedata.normalize("NFKC", text.translate(_WINDOWS_1252)).replace("\u2236", ":")
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    if _MAY_BREAK.search(text) is not None:
        text = _HL7_STYLE.sub("", _BREAKS.sub("\n", text))
    if "<" in text:
        text = _TAG.sub("", _BLOCK_TAG.sub("\n", _NAME_TAG.sub(_named_section, _CELL_TAG.sub(_cell_mark, text))))
    return text


def plain_text(text: str) -> str:
    """The clean text, whose headers have a colon or stand alone on their lines."""
    text = clean_text(text)
    if "|" in text:
        text = "\n".join(_without_tables(text.split("\n")))
    if _HAS_MARK.search(text) is not None or any(mark in text for mark in _COMMON_MARKS) or _TIGHT_DASH.search(text):
        text = _with_colons(text)
    if "~" in text:
        text = _HL7_BREAK.sub("\n", text)
    return text.replace(" // ", "\n")


def _cell_mark(tag: re.Match[str]) -> str:
    """A bar at the start of each cell of a table in HTML."""
    return " " if tag[0].startswith("</") else "| "


def _named_section(tag: re.Match[str]) -> str:
    """A header in place of a tag such as <findings>."""
    name = tag[1].replace("_", " ")
    return f"\n{name.upper()}: " if KINDS.get(name.lower()) in (FINDINGS, IMPRESSION, OTHER) else tag[0]


def _without_tables(lines: list[str]) -> Iterator[str]:
    """The lines, where rows of tables are "NAME: text". Names are in the first column, or in the first row."""
    column_names: list[str] = []
    for line in lines:
        row = line.strip()
        if not row:
            yield line
            continue
        if row[0] in "|+" and _RULE.fullmatch(row):
            continue
        if not row.startswith("|") or row.count("|") < 2:
            column_names = []
            yield row.replace("||", "\n") if "||" in row else line
            continue
        cells = [cell.strip(" *_") for cell in row.strip("|").split("|")][:_MAX_CELLS]
        kinds = [_cell_kind(cell) for cell in cells]
        if len(cells) > 1 and {FINDINGS, IMPRESSION} & set(kinds) and all(kinds):
            column_names = cells
        elif len(cells) == len(column_names) and not any(kinds):
            yield from (f"{name.rstrip(' :')}: {cell}" for name, cell in zip(column_names, cells, strict=True))
        else:
            yield from _row_lines(cells, kinds)


def _row_lines(cells: list[str], kinds: list[str]) -> Iterator[str]:
    """The cells of a row in lines, each of which begins with a name or at the start of the row."""
    line = ""
    for cell, kind in zip(cells, kinds, strict=True):
        if kind:
            if any(map(str.isalpha, line)):  # not a row's number
                yield line
            line = f"{cell[0].upper()}{cell[1:].rstrip(' :')}:"
        else:
            line = f"{line} {cell}".strip()
    yield line


def _cell_kind(cell: str) -> str:
    """The kind of section that a cell names; empty for other cells."""
    name = cell.rstrip(" :")
    if len(name) > _MAX_NAME:
        return ""
    kind = KINDS.get(" ".join(name_words(name)), "")
    is_plain = name[:1].islower() and (kind not in (FINDINGS, IMPRESSION, OTHER) or name in COMMON_WORDS)
    return "" if is_plain else kind


def _with_colons(text: str) -> str:
    """The text, where other marks after names of sections are colons.

    An arrow or a bar is one after all known names. Another mark is one after a name in capitals, or where several
    names have one.
    """
    candidates = [candidate for mark in _MARK.finditer(text) if (candidate := _named(text, mark)) is not None]
    if not candidates:
        return text
    names = {name.lower() for _, name, _ in candidates}
    is_form = len(names) > 1 and any(KINDS.get(name) in (FINDINGS, IMPRESSION) for name in names)
    pieces, position = [], 0
    for mark, _, is_sure in candidates:
        if is_sure or is_form:
            pieces += [text[position : mark.start()], ": "]
            position = mark.end()
    return "".join([*pieces, text[position:]])


def _named(text: str, mark: re.Match[str]) -> tuple[re.Match[str], str, bool] | None:
    """The mark with the known name before it, and whether it is surely a header's; None where no name is there."""
    start = max(0, mark.start() - _MAX_NAME)
    words = text[start : mark.start()].rstrip(" *_\"')]")
    name = _BEFORE_NAME.sub("", words, count=1).lstrip(_BEFORE_FIRST)
    kind = _kind(name, is_exact=mark["arrow"] is None)
    if not kind and not words.isupper() and (capitals := _CAPITALS.search(name)) is not None:
        name = capitals[0].strip()
        kind = _kind(name, is_exact=True)
    if not kind or (not name.isupper() and name.lower() in COMMON_WORDS):
        return None
    line_start = words.rpartition("\n")[2] if start == 0 or "\n" in words else None
    begins_line = line_start is not None and line_start.lstrip(_BEFORE_FIRST) == name
    if mark["arrow"] is not None or mark["bar"] is not None:
        return mark, name, name[0].isupper() or begins_line
    if kind == ANATOMY or not name[0].isupper() or name.lower() == "chest":
        return None
    return mark, name, name.isupper() and (kind != OTHER or begins_line)


def _kind(name: str, *, is_exact: bool) -> str | None:
    """The kind of section of that name; None for other words, and for names that are only similar to known ones."""
    words = name_words(name)
    if not words or not name[0].isalpha():
        return None
    kind = KINDS.get(" ".join(words))
    if kind is None and not is_exact and name[0].isupper():
        kind = header_kind(name)
    return kind if kind in (FINDINGS, IMPRESSION, OTHER, ANATOMY, EXAM) else None
