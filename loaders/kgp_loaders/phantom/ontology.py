"""The invented ontology of the studies: concepts that a radiologist would name, under CUIs that UMLS does not use.

Concepts and relations stand in `concepts.tsv` and `relations.tsv`; here they become RRF files as UMLS ships them, with
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


class Concept(NamedTuple):
    """An invented concept. `shared` are those of its names that other concepts have, too."""

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
def concepts() -> dict[str, Concept]:
    """All concepts by key."""
    found = {}
    for number, (key, kind, names, foreign) in enumerate(_table("concepts.tsv", 4)):
        given = [name for name in names.split("|") if name]
        found[key] = Concept(
            key,
            f"C{FIRST_CUI + number}",
            kind,
            tuple(name.removesuffix("?") for name in given),
            frozenset(name.removesuffix("?") for name in given if name.endswith("?")),
            tuple((pair[:3], pair[4:]) for pair in foreign.split("|") if pair),
        )
    return found


@cache
def relations() -> tuple[tuple[str, str, str], ...]:
    """Head, relation and tail as CUIs, each relation with its inverse."""
    known = concepts()
    both = []
    for head, name, inverse, tail in _table("relations.tsv", 4):
        both.append((known[head].cui, name, known[tail].cui))
        both.append((known[tail].cui, inverse, known[head].cui))
    return tuple(both)


def write(folder: Path) -> None:
    """Write the RRF files into a new folder."""
    folder.mkdir(parents=True)
    rows: dict[str, Sequence[tuple[str, ...]]] = {
        "MRCONSO.RRF": sorted(_names()),
        "MRREL.RRF": sorted(_related()),
        "MRSAB.RRF": [_source()],
        "MRSTY.RRF": [
            (concept.cui, concept.type, *_TYPES[concept.type], f"AT{number:08d}", "")
            for number, concept in enumerate(concepts().values(), 1)
        ],
    }
    for name, lines in rows.items():
        _write(folder / name, lines)
    _write(folder / "MRFILES.RRF", [_file(folder / name, len(lines)) for name, lines in rows.items()])
    _write(folder / "MRCOLS.RRF", [row for name, lines in rows.items() for row in _described(name, lines)])


def _table(name: str, width: int) -> Iterator[list[str]]:
    text = files("kgp_loaders.phantom").joinpath(name).read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            values = line.split("\t")
            yield values + [""] * (width - len(values))


def _names() -> Iterator[tuple[str, ...]]:
    atom = 0
    for concept in concepts().values():
        given = [("ENG", name, "N") for name in concept.names]
        given += [("ENG", name, "N") for name in _inverted(concept.names[0])]
        given += [("ENG", f"{concept.names[0]} (old name)", "O")]
        given += [(language, name, "N") for language, name in concept.foreign]
        for place, (language, name, suppressed) in enumerate(given):
            atom += 1
            first = place == 0 or language != "ENG"
            yield (
                concept.cui, language, "P" if first else "S", f"L{atom:07d}", "PF", f"S{atom:07d}",
                "Y" if first else "N", f"A{atom:08d}", "", "", "", SOURCE, "PT" if first else "SY",
                concept.cui[1:], name, "0", suppressed, "",
            )  # fmt: skip


def _inverted(name: str) -> Iterator[str]:
    """The name as indexes print it: "pleural effusion" as "effusion, pleural"."""
    first, _, last = name.rpartition(" ")
    if first:
        yield f"{last}, {first}"


def _related() -> Iterator[tuple[str, ...]]:
    """A row says that the second concept has the relation to the first."""
    for number, (head, name, tail) in enumerate(dict.fromkeys(relations()), 1):
        yield (tail, "", "CUI", "RO", head, "", "CUI", name, f"R{number:07d}", "", SOURCE, SOURCE, "", "Y", "N", "")


def _source() -> tuple[str, ...]:
    values = dict.fromkeys(_COLUMNS["MRSAB.RRF"][1].split(","), "")
    values |= {
        "VSAB": RELEASE, "RSAB": SOURCE, "SON": "Invented ontology of kgplatform's phantom", "SF": SOURCE, "SVER": "1",
        "SRL": "0", "LAT": "ENG", "CENC": "UTF-8", "CURVER": "Y", "SABIN": "Y", "SSN": "kgplatform phantom",
    }  # fmt: skip
    return tuple(values.values())


def _file(path: Path, rows: int) -> tuple[str, ...]:
    what, columns = _COLUMNS[path.name]
    return path.name, what, columns, str(columns.count(",") + 1), str(rows), str(path.stat().st_size)


def _described(name: str, rows: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    for place, column in enumerate(_COLUMNS[name][1].split(",")):
        widths = [len(row[place].encode()) for row in rows]
        yield column, column, "", str(min(widths)), f"{sum(widths) / len(widths):.2f}", str(max(widths)), name, "char"


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    text = "".join("|".join(row) + "|\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="\n")
