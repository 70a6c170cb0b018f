"""Makes `names.tsv` and `relations.tsv` from the open ontologies.

    python -m kgplatform.construct.open_lexicon.build ../shared/data/ontology

The folder has `names.tsv` (cui, source, id, name), `synonyms.tsv` (cui, source, synonym, scope) and `relations.tsv`
(cui, relation, cui2), made of HPO, MONDO, the Disease Ontology and Uberon. What no radiology report names is left out:
laboratory values, numbered genetic types, names of many words (`ROOTS`). Names are unchanged, as HPO's licence
requires; of the synonyms only the exact ones are taken. The result depends on the files alone.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kgplatform.construct.open_lexicon.terms import own_terms

FOLDER: Final = Path(__file__).parent
RELATIONS: Final = {"is_a": "isa", "part_of": "part_of"}  # as UMLS names them
TYPES: Final = {
    "HPO": "Finding",
    "MONDO": "Disease or Syndrome",
    "DOID": "Disease or Syndrome",
    "Uberon": "Body Part, Organ, or Organ Component",
}
PREFERRED: Final = "1"
NEOPLASM: Final = "Neoplastic Process"
NEOPLASM_ROOTS: Final = ("C0006826", "C0027651")

# What is taken: concepts below these ones, by the most words of a name. All of the chest, and the common diseases of
# the rest of the body, which reports of other examinations name.
ROOTS: Final = {
    "C4018871": 5,  # Abnormality of the respiratory system (HPO)
    "C0035204": 5,  # respiratory system disorder (MONDO)
    "C0243050": 5,  # Abnormality of the cardiovascular system (HPO)
    "C0007222": 4,  # cardiovascular disorder (MONDO)
    "C4021797": 4,  # Abnormal thorax morphology (HPO)
    "C4021789": 4,  # Abnormality of the vertebral column (HPO)
    "C0005940": 2,  # bone disorder (MONDO)
    "C0009450": 3,  # infectious disease (MONDO)
    "C0006826": 3,  # neoplasm
    "C0027651": 3,  # neoplasm
    "C0012242": 2,  # digestive system disorder (MONDO)
    "C0042075": 2,  # urinary system disorder (MONDO)
    "C0027765": 2,  # nervous system disorder (MONDO)
}
SLIM_MAX_WORDS: Final = {"DOID": 4, "Uberon": 3}  # the Disease Ontology's radiology slim, and Uberon's slims

# Words of names that no radiology report has: laboratory values, genetics, behaviour, body parts of the embryo or eye.
_NOT_IN_REPORTS: Final = re.compile(
    r"\b(circulating|concentration|activity|level|serum|urinary|urine|plasma|blood|count|cell morphology|antibody|type"
    r"|susceptibility|autosomal|linked|recessive|dominant|deficiency|intellectual|syndromic|inherited|hereditary"
    r"|familial|onset|gene|chromosome|deletion|duplication|mutation|inheritance|pregnancy|fetal|behavior|behaviour"
    r"|speech|eeg|ekg|electroencephalography|acid|enzyme|metabolism|teeth|tooth|dental|eyelid|eyebrow|hair|nail|iris"
    r"|cornea|corneal|retinal|retina|lens|pupil|toes?|fingers?|phalanx|phalanges|epiphysis|metaphysis|metaphyseal"
    r"|epiphyseal|nucleus|gyrus|embryo|primordium|epithelium|gonadal|seizures?|deafness|color|colour|skin|personality"
    r"|abnormal|abnormality|variant|morphology|physiology|obsolete|predisposition|response|ratio)\b|\d|[\[\]{}/]",
    re.IGNORECASE,
)
_UNSPECIFIC: Final = frozenset(  # names that mean something else in a report, or nothing by themselves
    {
        "disease", "disorder", "syndrome", "condition", "process", "alveolar process", "region", "chest", "trunk",
        "limb",
        "pain", "collapse", "mass", "appendage", "capillary", "face", "large", "gland", "helix", "thin", "pes", "digit",
        "acute disease", "inactive", "pons", "crista", "tags", "plaque", "stress", "falls", "flush", "shock", "small",
        "abdominal", "crying", "thinness", "progressive", "severe", "mild", "moderate", "chronic", "acute", "early",
        "late", "reduced", "increased", "decreased", "absent", "present", "focal", "diffuse", "bilateral", "unilateral",
        "right", "left", "anterior", "posterior", "medial", "lateral", "central", "peripheral", "proximal", "distal",
        "asymmetry", "underweight", "overweight", "stable", "frequency", "sign", "symptom", "finding", "female", "male",
        "short", "tall", "narrow", "wide", "reticular", "linear", "patchy", "whorled", "hyper", "hypo", "lines", "port",
        "ct", "as", "cad", "pa", "ap", "ra", "ms", "ad", "pad", "aids", "clip", "dish", "pe", "hip", "rad", "cop",
        "sle",
        "nsip", "all", "cf", "bpd", "hit", "dic", "iga", "osa", "gist", "hand", "apparent", "localized", "generalized",
        "triggered by", "progression", "resolution", "episodic", "recurrent", "refractory", "vein", "artery", "bump",
        "vertebra", "lung", "heart", "angle", "wasting", "drug", "cyst of", "tube",
    }
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Read the folder named by the only argument and write the two tables."""
    ontology_folder = Path(arguments[0])
    parents: dict[str, set[str]] = {}
    relations = []
    for head, relation, tail in _rows(ontology_folder / "relations.tsv"):
        relations.append((head, RELATIONS[relation], tail))
        if relation == "is_a":
            parents.setdefault(head, set()).add(tail)
    usable_names = set(_names(ontology_folder, parents))
    named_cuis = {cui for cui, _, _, is_preferred in usable_names if is_preferred == PREFERRED}
    names = sorted(row for row in usable_names if row[0] in named_cuis)
    _write(FOLDER / "names.tsv", ("cui", "name", "type", "preferred"), names)
    cuis = {row[0] for row in names} | {term.cui for term in own_terms()}
    retained = sorted({row for row in relations if row[0] in cuis and row[2] in cuis and row[0] != row[2]})
    _write(FOLDER / "relations.tsv", ("cui", "relation", "cui2"), retained)
    concept_count = len({row[0] for row in names})
    sys.stdout.write(f"{len(names):,} names of {concept_count:,} concepts, {len(retained):,} relations\n")
    return 0


def _names(folder: Path, parents: dict[str, set[str]]) -> Iterator[tuple[str, str, str, str]]:
    """The names with their types; 1 marks a preferred one."""
    described: dict[str, tuple[str, int]] = {}  # by CUI: its type and the most words of a name
    for cui, source, _, name in _rows(folder / "names.tsv"):
        if cui not in described:
            described[cui] = _described(cui, source, parents)
        if _is_usable(name, described[cui][1]):
            yield cui, name, described[cui][0], PREFERRED
    for cui, _, synonym, scope in _rows(folder / "synonyms.tsv"):
        if scope == "EXACT" and cui in described and _is_usable(synonym, described[cui][1]):
            yield cui, synonym, described[cui][0], "0"


def _is_usable(name: str, max_words: int) -> bool:
    return (
        len(name) > 2
        and len(name.split()) <= max_words
        and name.casefold() not in _UNSPECIFIC
        and _NOT_IN_REPORTS.search(name) is None
    )


def _described(cui: str, source: str, parents: dict[str, set[str]]) -> tuple[str, int]:
    """The semantic type, where a concept below neoplasm is a neoplastic process, and the most words of a name."""
    ancestors, waiting = {cui}, [cui]
    while waiting:
        new = parents.get(waiting.pop(), set()) - ancestors
        ancestors |= new
        waiting += new
    max_words = max((ROOTS.get(ancestor, 0) for ancestor in ancestors), default=0)
    if source in SLIM_MAX_WORDS:
        max_words = max(max_words, SLIM_MAX_WORDS[source])
    return NEOPLASM if not ancestors.isdisjoint(NEOPLASM_ROOTS) else TYPES[source], max_words


def _rows(path: Path) -> Iterator[tuple[str, ...]]:
    with path.open(encoding="utf-8", newline="") as table:
        rows = csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        yield from (tuple(row) for row in rows)


def _write(path: Path, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    lines = ("\t".join(row) for row in (columns, *rows))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
