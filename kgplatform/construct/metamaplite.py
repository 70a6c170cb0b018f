"""Stage I by MetaMapLite: reads what it found (its MMI output), as a tagger.

`kgp construct texts KIND PATH FOLDER` writes the sections as `*.txt`; MetaMapLite, run by the user on that folder with
`--outputformat=mmi`, writes an `.mmi` file beside each:

    1.findings.txt|MMI|3.75|Pleural effusion disorder|C0032227|[dsyn]|"effusion"-tx-1-"effusion"-NN-0|tx|14/8|C08.528|

The fields after MMI are score, preferred name, CUI, semantic types (UMLS's four letters), triggers, location, and the
places `start/length`, with `,` or `;` between them. A text is known by its hash, so texts and output belong together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from kgplatform import files
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.tagger import MAX_CANDIDATES, Candidate, Mention
from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID

_PLACE: Final = re.compile(r"(\d{1,9})/(\d{1,9})")

# Semantic types by MetaMap's abbreviations: those of appendix F.2 and of the body, which decide something here.
_TYPES: Final = {
    "bdsy": "T022", "cnce": "T077", "idcn": "T078", "tmco": "T079", "qlco": "T080", "qnco": "T081", "geoa": "T083",
    "rnlw": "T089", "ocdi": "T090", "bmod": "T091", "orgt": "T092", "hcro": "T093", "pros": "T094", "shro": "T095",
    "grup": "T096", "prog": "T097", "popg": "T098", "famg": "T099", "aggp": "T100", "podg": "T101", "grpa": "T102",
    "ftcn": "T169", "inpr": "T170", "lang": "T171", "clas": "T185", "anst": "T017", "bpoc": "T023", "tisu": "T024",
    "blor": "T029", "bsoj": "T030",
}  # fmt: skip


class MetaMapLite:
    """The mentions that MetaMapLite found in the texts of a folder."""

    name = "metamaplite 1"

    def __init__(self, lexicon: Lexicon, allowed: Callable[[tuple[str, ...]], bool], folder: str) -> None:
        """Find the texts and their output. Raises `InputError` where there are none."""
        if not folder or not Path(folder).is_dir():
            raise InputError("no folder of MetaMapLite's output", "Say --tagger metamaplite:FOLDER.")
        self._allowed = allowed
        texts = {path.stem: path for path in sorted(Path(folder).glob("*.txt"))}
        found = {path.stem.removesuffix(".txt"): path for path in sorted(Path(folder).glob("*.mmi"))}
        self._outputs = {
            _hash(files.read_bytes(texts[name], files.MAX_DOCUMENT)): found[name]
            for name in texts.keys() & found.keys()
        }
        if not self._outputs:
            hint = "Write texts with `kgp construct texts`, then run MetaMapLite on them with --outputformat=mmi."
            raise InputError("no text has an .mmi file beside it", hint, path=Path(folder))

    def tag(self, text: str) -> list[Mention]:
        """The mentions that do not overlap, the longest first. Raises `InputError` for a text without output."""
        path = self._outputs.get(_hash(text.encode()))
        if path is None:
            raise InputError("MetaMapLite has not read a report", "Write the texts again and run it on all of them.")
        found: dict[tuple[int, int], dict[str, Candidate]] = {}
        for (start, end), candidate in self._rows(path):
            if end <= len(text) and self._allowed(candidate.types):
                there = found.setdefault((start, end), {})
                if candidate.cui not in there or there[candidate.cui].score < candidate.score:
                    there[candidate.cui] = candidate
        return list(_apart(found))

    def _rows(self, path: Path) -> Iterator[tuple[tuple[int, int], Candidate]]:
        for number, line in enumerate(files.read_text(path, files.MAX_DOCUMENT, "Run it again.").splitlines(), 1):
            fields = line.split("|")
            if len(fields) > 1 and fields[1] != "MMI":
                continue  # AA and UA rows: abbreviations
            try:
                score, name, cui, types, places = float(fields[2]), fields[3], fields[4], fields[5], fields[8]
            except (IndexError, ValueError):
                raise InputError("this is no row of MMI output", "Run it again.", path=path, row=number) from None
            if CONCEPT_ID.fullmatch(cui) is None:
                raise InputError("the CUI is not C and 7 digits", "Run it again.", path=path, row=number)
            known = tuple(_TYPES.get(kind, kind) for kind in types.strip("[]").split(",") if kind)
            for start, length in _PLACE.findall(places):
                if int(length):
                    yield (int(start), int(start) + int(length)), Candidate(cui, name, score, known)


def _apart(found: dict[tuple[int, int], dict[str, Candidate]]) -> Iterator[Mention]:
    taken: list[tuple[int, int]] = []
    for start, end in sorted(found, key=lambda place: (place[0] - place[1], place)):
        if all(end <= other or last <= start for other, last in taken):
            taken.append((start, end))
    for start, end in sorted(taken):
        ranked = sorted(found[start, end].values(), key=lambda one: (-one.score, one.cui))[:MAX_CANDIDATES]
        best = ranked[0].score or 1.0
        scaled = tuple(one._replace(score=max(0.0, min(1.0, one.score / best))) for one in ranked)
        yield Mention(start, end, scaled)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
