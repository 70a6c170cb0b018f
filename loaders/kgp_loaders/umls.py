"""UMLS in its Rich Release Format: names, semantic types and relations, read as a stream.

    MRCONSO.RRF   C0032285|ENG|P|L0032285|PF|S0074645|Y|A…||M0017175|D011014|MSH|MH|D011014|Pneumonia|0|N||
    MRSTY.RRF     C0032285|T047|B2.2.1.2.1|Disease or Syndrome|AT…||
    MRREL.RRF     C0032285|A…|AUI|RO|C0024109|A…|AUI|finding_site_of|R…||SNOMEDCT_US|…|N||

Where the columns stand is reported by MRFILES.RRF, and that they mean what they are called by MRCOLS.RRF. Files are
sorted by CUI, as UMLS ships them: so names and types are joined without holding either in memory. A row of MRREL says
that the *second* concept has the relation to the first: lung finding_site_of pneumonia.

UMLS has its own licence and must not be redistributed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Final

from kgp_loaders.records import lines
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept, ConceptRelation
from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID, CONCEPT_ID_FORM, RELATION

MAX_LINE: Final = 1_000_000  # bytes; the longest line of a release has about 30,000
NEEDED: Final = {
    "MRCONSO.RRF": ("CUI", "LAT", "TS", "STT", "ISPREF", "STR", "SUPPRESS"),
    "MRSTY.RRF": ("CUI", "STY"),
    "MRREL.RRF": ("CUI1", "CUI2", "RELA", "SUPPRESS"),
}


class UMLS:
    """A folder with RRF files. Raises `InputError` where one of them, or a column, is missing."""

    def __init__(self, folder: Path, languages: Sequence[str] = ("ENG",)) -> None:
        """Read names in these languages (UMLS's three letters); in all for none."""
        self.folder = folder
        self.languages = frozenset(languages)
        self._columns = _columns(folder)
        self.files = tuple(folder / file_name for file_name in NEEDED if (folder / file_name).is_file())

    @staticmethod
    def reads(path: Path) -> bool:
        """A folder."""
        return path.is_dir()

    def concepts(self) -> Iterator[Concept | Reject]:
        """Every name of every concept with its semantic types (their names), a concept's preferred name first.

        Suppressed names are left out. Raises `InputError` where a file is not sorted by CUI.
        """
        semantic_types = _Joined(self._rows("MRSTY.RRF"), self.folder / "MRSTY.RRF")
        sorted_rows = _sorted(self._rows("MRCONSO.RRF"), self.folder / "MRCONSO.RRF")
        for cui, concept_rows in groupby(sorted_rows, key=_cui):
            if isinstance(cui, Reject):
                yield cui
                continue
            ranked_names = []
            for record in concept_rows:
                if isinstance(record, Reject):
                    continue
                line_number, (_, language, term_status, form_type, preferred, concept_name, suppressed) = record
                if not CONCEPT_ID.fullmatch(cui):
                    yield Reject(self.folder / "MRCONSO.RRF", line_number, f"the CUI is not {CONCEPT_ID_FORM}")
                elif suppressed in ("", "N") and (not self.languages or language in self.languages):
                    ranked_names.append((term_status != "P", form_type != "PF", preferred != "Y", concept_name))
            type_names = semantic_types.type_names(cui)
            yield from semantic_types.rejects()
            for *_, concept_name in sorted(ranked_names, key=lambda ranked_name: ranked_name[:3]):
                yield Concept(cui, concept_name, type_names)

    def relations(self, among: Collection[str]) -> Iterator[ConceptRelation | Reject]:
        """The named relations between two different concepts that are both among these.

        Suppressed ones and those without a name of their own (RELA) are left out.
        """
        relations_path = self.folder / "MRREL.RRF"
        for record in self._rows("MRREL.RRF"):
            if isinstance(record, Reject):
                yield record
                continue
            line_number, (first_cui, second_cui, relation_name, suppressed) = record
            if (
                first_cui == second_cui
                or not relation_name
                or suppressed not in ("", "N")
                or first_cui not in among
                or second_cui not in among
            ):
                continue
            if RELATION.fullmatch(relation_name) is None:
                yield Reject(relations_path, line_number, "the relation name must be 1-100 letters, digits, '_' or '-'")
            else:
                yield ConceptRelation(second_cui, relation_name, first_cui)

    def _rows(self, file_name: str) -> Iterator[tuple[int, tuple[str, ...]] | Reject]:
        """The needed columns of a file's rows, each with its line."""
        rrf_path, (column_count, column_indices) = self.folder / file_name, self._columns[file_name]
        with _opened(rrf_path) as rrf_file:
            for line_number, rrf_line in enumerate(lines(rrf_file, MAX_LINE), 1):
                if rrf_line is None or b"\0" in rrf_line:
                    yield Reject(
                        rrf_path, line_number, f"the row is longer than {MAX_LINE:,} bytes, or contains a NUL character"
                    )
                    continue
                try:
                    values = rrf_line.decode("utf-8").rstrip("\r\n").split("|")
                except UnicodeDecodeError:
                    yield Reject(rrf_path, line_number, "the row is not UTF-8")
                    continue
                if len(values) != column_count + 1 or values[-1]:
                    yield Reject(rrf_path, line_number, f"the row has not {column_count} values, each with | after it")
                else:
                    yield line_number, tuple(values[column_index] for column_index in column_indices)


def _cui(record: tuple[int, tuple[str, ...]] | Reject) -> str | Reject:
    return record if isinstance(record, Reject) else record[1][0]


class _Joined:
    """The values of a sorted file by CUI, asked for in order."""

    def __init__(self, rows: Iterator[tuple[int, tuple[str, ...]] | Reject], path: Path) -> None:
        self._rows = _sorted(rows, path)
        self._next: tuple[str, ...] | None = None
        self._rejects: list[Reject] = []
        self._advance()

    def type_names(self, cui: str) -> tuple[str, ...]:
        values = []
        while self._next is not None and self._next[0] <= cui:
            if self._next[0] == cui:
                values.append(self._next[1])
            self._advance()
        return tuple(values)

    def rejects(self) -> Iterator[Reject]:
        """The bad rows that were come by since the last call."""
        yield from self._rejects
        self._rejects.clear()

    def _advance(self) -> None:
        for record in self._rows:
            if not isinstance(record, Reject):
                self._next = record[1]
                return
            self._rejects.append(record)
        self._next = None


def _sorted(
    unchecked_rows: Iterator[tuple[int, tuple[str, ...]] | Reject], path: Path
) -> Iterator[tuple[int, tuple[str, ...]] | Reject]:
    """The rows; raises `InputError` where a CUI is smaller than one before."""
    last_cui = ""
    for record in unchecked_rows:
        if not isinstance(record, Reject):
            if record[1][0] < last_cui:
                hint = "UMLS ships it sorted; sort it: LC_ALL=C sort."
                raise InputError("the file is not sorted by CUI", hint, path=path, row=record[0])
            last_cui = record[1][0]
        yield record


def _columns(folder: Path) -> Mapping[str, tuple[int, tuple[int, ...]]]:
    """For each file how many columns it has, and where the needed ones stand."""
    described_columns = {(record[6], record[0]) for record in _plain(folder / "MRCOLS.RRF", 8)}
    listed_columns = {record[0]: record[2].split(",") for record in _plain(folder / "MRFILES.RRF", 6)}
    columns_by_file = {}
    for file_name, needed_columns in NEEDED.items():
        columns = listed_columns.get(file_name)
        if columns is None:
            raise InputError(
                f"{file_name} is not described", "Use all files of one release.", path=folder / "MRFILES.RRF"
            )
        missing_columns = [
            column for column in needed_columns if column not in columns or (file_name, column) not in described_columns
        ]
        if missing_columns:
            message = f"{file_name} has no column {missing_columns[0]}"
            raise InputError(message, "Use the MRFILES.RRF and MRCOLS.RRF of one release.", path=folder / "MRFILES.RRF")
        columns_by_file[file_name] = len(columns), tuple(columns.index(column) for column in needed_columns)
    return columns_by_file


def _plain(rrf_path: Path, column_count: int) -> Iterator[list[str]]:
    """The rows of a small file. Raises `InputError` for a bad one."""
    with _opened(rrf_path) as rrf_file:
        for line_number, rrf_line in enumerate(lines(rrf_file, MAX_LINE), 1):
            if rrf_line is None:
                raise InputError("the row is too long", "Use a complete release.", path=rrf_path, row=line_number)
            values = rrf_line.decode("utf-8", "replace").rstrip("\r\n").split("|")
            if len(values) < column_count + 1:
                raise InputError(
                    f"the row has not {column_count} values", "Use a complete release.", path=rrf_path, row=line_number
                )
            yield values


def _opened(path: Path) -> BinaryIO:
    return files.open_regular_file(path, hint="Give the folder with META's files.")
