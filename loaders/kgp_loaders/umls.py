"""UMLS in its Rich Release Format: names, semantic types and relations, read as a stream.

    MRCONSO.RRF   C0032285|ENG|P|L0032285|PF|S0074645|Y|A…||M0017175|D011014|MSH|MH|D011014|Pneumonia|0|N||
    MRSTY.RRF     C0032285|T047|B2.2.1.2.1|Disease or Syndrome|AT…||
    MRREL.RRF     C0032285|A…|AUI|RO|C0024109|A…|AUI|finding_site_of|R…||SNOMEDCT_US|…|N||

Where the columns stand is told by MRFILES.RRF, and that they mean what they are called by MRCOLS.RRF. Files are sorted
by CUI, as UMLS ships them: so names and types are joined without holding either in memory. A row of MRREL says that the
*second* concept has the relation to the first: lung finding_site_of pneumonia.

UMLS has a licence of its own and must not be redistributed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Final

from kgp_loaders.records import lines
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept, Relation
from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID, RELATION

MAX_LINE: Final = 1_000_000  # bytes; the longest line of a release has some 30,000
NEEDED: Final = {
    "MRCONSO.RRF": ("CUI", "LAT", "TS", "STT", "ISPREF", "STR", "SUPPRESS"),
    "MRSTY.RRF": ("CUI", "STY"),
    "MRREL.RRF": ("CUI1", "CUI2", "RELA", "SUPPRESS"),
}


class UMLS:
    """A folder with RRF files. Raises `InputError` where one of them, or a column, is not there."""

    def __init__(self, folder: Path, languages: Sequence[str] = ("ENG",)) -> None:
        """Read names in these languages (UMLS's three letters); in all for none."""
        self.folder = folder
        self.languages = frozenset(languages)
        self._columns = _columns(folder)
        self.files = tuple(folder / name for name in NEEDED if (folder / name).is_file())

    def concepts(self) -> Iterator[Concept | Reject]:
        """Every name of every concept with its semantic types (their names), a concept's preferred name first.

        Suppressed names are left out. Raises `InputError` where a file is not sorted by CUI.
        """
        types = _Joined(self._rows("MRSTY.RRF"), self.folder / "MRSTY.RRF")
        rows = _sorted(self._rows("MRCONSO.RRF"), self.folder / "MRCONSO.RRF")
        for cui, group in groupby(rows, key=_cui):
            if isinstance(cui, Reject):
                yield cui
                continue
            names = []
            for row in group:
                if isinstance(row, Reject):
                    continue
                number, (_, language, status, form, preferred, name, suppressed) = row
                if not CONCEPT_ID.fullmatch(cui):
                    yield Reject(self.folder / "MRCONSO.RRF", number, "the CUI is not C and 7 digits")
                elif suppressed in ("", "N") and (not self.languages or language in self.languages):
                    names.append((status != "P", form != "PF", preferred != "Y", name))
            tuis = types.of(cui)
            yield from types.rejects()
            for *_, name in sorted(names, key=lambda found: found[:3]):
                yield Concept(cui, name, tuis)

    def relations(self, among: Collection[str]) -> Iterator[Relation | Reject]:
        """The named relations between two different concepts that are both among these.

        Suppressed ones and those without a name of their own (RELA) are left out.
        """
        path = self.folder / "MRREL.RRF"
        for row in self._rows("MRREL.RRF"):
            if isinstance(row, Reject):
                yield row
                continue
            number, (first, second, name, suppressed) = row
            if first == second or not name or suppressed not in ("", "N") or first not in among or second not in among:
                continue
            if RELATION.fullmatch(name) is None:
                yield Reject(path, number, "the relation name must be 1-100 letters, digits, '_' or '-'")
            else:
                yield Relation(second, name, first)

    def _rows(self, name: str) -> Iterator[tuple[int, tuple[str, ...]] | Reject]:
        """The needed columns of a file's rows, each with its line."""
        path, (width, places) = self.folder / name, self._columns[name]
        with _opened(path) as file:
            for number, line in enumerate(lines(file, MAX_LINE), 1):
                if line is None or b"\0" in line:
                    yield Reject(
                        path, number, f"the row is longer than {MAX_LINE:,} bytes, or contains a NUL character"
                    )
                    continue
                try:
                    values = line.decode("utf-8").rstrip("\r\n").split("|")
                except UnicodeDecodeError:
                    yield Reject(path, number, "the row is not UTF-8")
                    continue
                if len(values) != width + 1 or values[-1]:
                    yield Reject(path, number, f"the row has not {width} values, each with | after it")
                else:
                    yield number, tuple(values[place] for place in places)


def _cui(row: tuple[int, tuple[str, ...]] | Reject) -> str | Reject:
    return row if isinstance(row, Reject) else row[1][0]


class _Joined:
    """The values of a sorted file by CUI, asked for in order."""

    def __init__(self, rows: Iterator[tuple[int, tuple[str, ...]] | Reject], path: Path) -> None:
        self._rows = _sorted(rows, path)
        self._next: tuple[str, ...] | None = None
        self._rejects: list[Reject] = []
        self._advance()

    def of(self, cui: str) -> tuple[str, ...]:
        found = []
        while self._next is not None and self._next[0] <= cui:
            if self._next[0] == cui:
                found.append(self._next[1])
            self._advance()
        return tuple(found)

    def rejects(self) -> Iterator[Reject]:
        """The bad rows that were come by since the last call."""
        yield from self._rejects
        self._rejects.clear()

    def _advance(self) -> None:
        for row in self._rows:
            if not isinstance(row, Reject):
                self._next = row[1]
                return
            self._rejects.append(row)
        self._next = None


def _sorted(
    rows: Iterator[tuple[int, tuple[str, ...]] | Reject], path: Path
) -> Iterator[tuple[int, tuple[str, ...]] | Reject]:
    """The rows; raises `InputError` where a CUI is smaller than one before."""
    last = ""
    for row in rows:
        if not isinstance(row, Reject):
            if row[1][0] < last:
                hint = "UMLS ships it sorted; sort it: LC_ALL=C sort."
                raise InputError("the file is not sorted by CUI", hint, path=path, row=row[0])
            last = row[1][0]
        yield row


def _columns(folder: Path) -> Mapping[str, tuple[int, tuple[int, ...]]]:
    """For each file how many columns it has, and where the needed ones stand."""
    described = {(row[6], row[0]) for row in _plain(folder / "MRCOLS.RRF", 8)}
    formats = {row[0]: row[2].split(",") for row in _plain(folder / "MRFILES.RRF", 6)}
    found = {}
    for name, needed in NEEDED.items():
        columns = formats.get(name)
        if columns is None:
            raise InputError(f"{name} is not described", "Use all files of one release.", path=folder / "MRFILES.RRF")
        missing = [column for column in needed if column not in columns or (name, column) not in described]
        if missing:
            told = f"{name} has no column {missing[0]}"
            raise InputError(told, "Use the MRFILES.RRF and MRCOLS.RRF of one release.", path=folder / "MRFILES.RRF")
        found[name] = len(columns), tuple(columns.index(column) for column in needed)
    return found


def _plain(path: Path, width: int) -> Iterator[list[str]]:
    """The rows of a small file. Raises `InputError` for a bad one."""
    with _opened(path) as file:
        for number, line in enumerate(lines(file, MAX_LINE), 1):
            if line is None:
                raise InputError("the row is too long", "Use a whole release.", path=path, row=number)
            values = line.decode("utf-8", "replace").rstrip("\r\n").split("|")
            if len(values) < width + 1:
                raise InputError(f"the row has not {width} values", "Use a whole release.", path=path, row=number)
            yield values


def _opened(path: Path) -> BinaryIO:
    return files.opened(path, hint="Name the folder with META's files.")
