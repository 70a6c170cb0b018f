"""The synthetic ontology of the studies: concepts that a radiologist would name, under CUIs that UMLS does not use.

Concepts and relations are in `concepts.tsv` and `relations.tsv`; here they become RRF files as UMLS ships them, with
names in several languages, inverted and suppressed names, semantic types and relations in both directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

FIRST_CUI: Final = 9_980_001
SOURCE: Final = "KGPPHANTOM"
RELEASE: Final = "KGPPHANTOM_1"

_TYPES: Final = {
    "T023": ("A1.2.3.1", "Body Part, Organ, or Organ Component"),
    "T029": ("A2.1.5.2", "Body Location or Region"),
    "T033": ("A2.2", "Finding"),
    "T037": ("B2.3", "Injury or Poisoning"),
    "T046": ("B2.2.1.2", "Pathologic Function"),
    "T047": ("B2.2.1.2.1", "Disease or Syndrome"),
    "T074": ("A1.3.1", "Medical Device"),
    "T079": ("A2.1.1", "Temporal Concept"),
    "T080": ("A2.1.2", "Qualitative Concept"),
    "T081": ("A2.1.3", "Quantitative Concept"),
    "T101": ("A2.9.5", "Patient or Disabled Group"),
    "T169": ("A2.1.4", "Functional Concept"),
    "T170": ("A2.4", "Intellectual Product"),
    "T184": ("A2.2.2", "Sign or Symptom"),
    "T190": ("A1.2.2", "Anatomical Abnormality"),
    "T191": ("B2.2.1.2.1.2", "Neoplastic Process"),
}
ANATOMY: Final = ("T023", "T029")

_COLUMNS: Final = {
    "MRCONSO.RRF": (
        "Concept names",
        "CUI,LAT,TS,LUI,STT,SUI,ISPREF,AUI,SAUI,SCUI,SDUI,SAB,TTY,CODE,STR,SRL,SUPPRESS,CVF",
    ),
    "MRREL.RRF": (
        "Related concepts",
        "CUI1,AUI1,STYPE1,REL,CUI2,AUI2,STYPE2,RELA,RUI,SRUI,SAB,SL,RG,DIR,SUPPRESS,CVF",
    ),
    "MRSAB.RRF": (
        "Sources",
        "VCUI,RCUI,VSAB,RSAB,SON,SF,SVER,VSTART,VEND,IMETA,RMETA,SLC,SCC,SRL,TFR,CFR,CXTY,TTYL,ATNL,LAT,CENC,"
        "CURVER,SABIN,SSN,SCIT",
    ),
    "MRSTY.RRF": ("Semantic types", "CUI,TUI,STN,STY,ATUI,CVF"),
}


class SyntheticConcept(NamedTuple):
    """A synthetic concept. `shared` are those of its names that other concepts have, too."""

    key: str
    cui: str
    type: str
    names: tuple[str, ...]
    shared: frozenset[str]
    foreign: tuple[tuple[str, str], ...]  # language, name

    @property
    def is_anatomy(self) -> bool:
        """Whether it is a part of the body and no finding."""
        return self.type in ANATOMY


@cache
def concepts() -> dict[str, SyntheticConcept]:
    """All concepts by key."""
    concepts_by_key = {}
    for number, (concept_key, kind, joined_names, foreign) in enumerate(_table("concepts.tsv", 4)):
        marked_names = [concept_name for concept_name in joined_names.split("|") if concept_name]
        concepts_by_key[concept_key] = SyntheticConcept(
            concept_key,
            f"C{FIRST_CUI + number}",
            kind,
            tuple(concept_name.removesuffix("?") for concept_name in marked_names),
            frozenset(concept_name.removesuffix("?") for concept_name in marked_names if concept_name.endswith("?")),
            tuple((foreign_name[:3], foreign_name[4:]) for foreign_name in foreign.split("|") if foreign_name),
        )
    return concepts_by_key


@cache
def relations() -> tuple[tuple[str, str, str], ...]:
    """Head, relation and tail as CUIs, each relation with its inverse."""
    concepts_by_key = concepts()
    triples = []
    for head, relation, inverse, tail in _table("relations.tsv", 4):
        triples.append((concepts_by_key[head].cui, relation, concepts_by_key[tail].cui))
        triples.append((concepts_by_key[tail].cui, inverse, concepts_by_key[head].cui))
    return tuple(triples)


def write_ontology(folder: Path) -> None:
    """Write the RRF files into a new folder."""
    folder.mkdir(parents=True)
    tables: dict[str, Sequence[tuple[str, ...]]] = {
        "MRCONSO.RRF": sorted(_names()),
        "MRREL.RRF": sorted(_related()),
        "MRSAB.RRF": [_source()],
        "MRSTY.RRF": [
            (concept.cui, concept.type, *_TYPES[concept.type], f"AT{type_number:08d}", "")
            for type_number, concept in enumerate(concepts().values(), 1)
        ],
    }
    for file_name, table_rows in tables.items():
        _write(folder / file_name, table_rows)
    _write(
        folder / "MRFILES.RRF", [_file(folder / file_name, len(table_rows)) for file_name, table_rows in tables.items()]
    )
    _write(
        folder / "MRCOLS.RRF",
        [column_row for file_name, table_rows in tables.items() for column_row in _described(file_name, table_rows)],
    )


def _table(file_name: str, column_count: int) -> Iterator[list[str]]:
    table_text = files("kgp_loaders.phantom").joinpath(file_name).read_text(encoding="utf-8")
    for table_line in table_text.splitlines():
        if table_line and not table_line.startswith("#"):
            fields = table_line.split("\t")
            yield fields + [""] * (column_count - len(fields))


def _names() -> Iterator[tuple[str, ...]]:
    atom_number = 0
    for concept in concepts().values():
        atoms = [("ENG", atom_name, "N") for atom_name in concept.names]
        atoms += [("ENG", atom_name, "N") for atom_name in _inverted(concept.names[0])]
        atoms += [("ENG", f"{concept.names[0]} (old name)", "O")]
        atoms += [(language, atom_name, "N") for language, atom_name in concept.foreign]
        for index, (language, atom_name, suppressed) in enumerate(atoms):
            atom_number += 1
            is_preferred = index == 0 or language != "ENG"
            yield (
                concept.cui, language, "P" if is_preferred else "S", f"L{atom_number:07d}", "PF", f"S{atom_number:07d}",
                "Y" if is_preferred else "N", f"A{atom_number:08d}", "", "", "", SOURCE, "PT" if is_preferred else "SY",
                concept.cui[1:], atom_name, "0", suppressed, "",
            )  # fmt: skip


def _inverted(term: str) -> Iterator[str]:
    """The name as indexes print it: "pleural effusion" as "effusion, pleural"."""
    leading, _, last_word = term.rpartition(" ")
    if leading:
        yield f"{last_word}, {leading}"


def _related() -> Iterator[tuple[str, ...]]:
    """A row says that the second concept has the relation to the first."""
    for relation_number, (head, relation, tail) in enumerate(dict.fromkeys(relations()), 1):
        yield (
            tail,
            "",
            "CUI",
            "RO",
            head,
            "",
            "CUI",
            relation,
            f"R{relation_number:07d}",
            "",
            SOURCE,
            SOURCE,
            "",
            "Y",
            "N",
            "",
        )


def _source() -> tuple[str, ...]:
    fields = dict.fromkeys(_COLUMNS["MRSAB.RRF"][1].split(","), "")
    fields |= {
        "VSAB": RELEASE, "RSAB": SOURCE, "SON": "Invented ontology of kgplatform's phantom", "SF": SOURCE, "SVER": "1",
        "SRL": "0", "LAT": "ENG", "CENC": "UTF-8", "CURVER": "Y", "SABIN": "Y", "SSN": "kgplatform phantom",
    }  # fmt: skip
    return tuple(fields.values())


def _file(file_path: Path, row_count: int) -> tuple[str, ...]:
    description, columns = _COLUMNS[file_path.name]
    return (
        file_path.name,
        description,
        columns,
        str(columns.count(",") + 1),
        str(row_count),
        str(file_path.stat().st_size),
    )


def _described(file_name: str, table_rows: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    for column_index, column in enumerate(_COLUMNS[file_name][1].split(",")):
        widths = [len(table_row[column_index].encode()) for table_row in table_rows]
        yield (
            column,
            column,
            "",
            str(min(widths)),
            f"{sum(widths) / len(widths):.2f}",
            str(max(widths)),
            file_name,
            "char",
        )


def _write(file_path: Path, table_rows: Sequence[Sequence[str]]) -> None:
    table_text = "".join("|".join(fields) + "|\n" for fields in table_rows)
    file_path.write_text(table_text, encoding="utf-8", newline="\n")
