"""Stage I by MetaMapLite: reads what it found (its MMI output), as a tagger.

`kgp construct texts KIND PATH FOLDER` writes the sections as `*.txt`; MetaMapLite, run by the user on that folder with
`--outputformat=mmi`, writes an `.mmi` file next to each:

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
from kgplatform.schema import CONCEPT_ID, CONCEPT_ID_FORM

_SPAN: Final = re.compile(r"(\d{1,9})/(\d{1,9})")

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
            raise InputError("no folder of MetaMapLite's output", "Use --tagger metamaplite:FOLDER.")
        self._allowed = allowed
        text_paths = {path.stem: path for path in sorted(Path(folder).glob("*.txt"))}
        output_paths = {path.stem.removesuffix(".txt"): path for path in sorted(Path(folder).glob("*.mmi"))}
        self._outputs = {
            _hash(files.read_bytes(text_paths[text_name], files.MAX_DOCUMENT)): output_paths[text_name]
            for text_name in text_paths.keys() & output_paths.keys()
        }
        if not self._outputs:
            hint = "Write texts with `kgp construct texts`, then run MetaMapLite on them with --outputformat=mmi."
            raise InputError("no text has an .mmi file next to it", hint, path=Path(folder))

    def tag(self, text: str) -> list[Mention]:
        """The mentions that do not overlap, the longest first. Raises `InputError` for a text without output."""
        output_path = self._outputs.get(_hash(text.encode()))
        if output_path is None:
            raise InputError("MetaMapLite has not read a report", "Write the texts again and run it on all of them.")
        candidates_by_span: dict[tuple[int, int], dict[str, Candidate]] = {}
        for (start, end), candidate in self._rows(output_path):
            if end <= len(text) and self._allowed(candidate.types):
                by_cui = candidates_by_span.setdefault((start, end), {})
                if candidate.cui not in by_cui or by_cui[candidate.cui].score < candidate.score:
                    by_cui[candidate.cui] = candidate
        return list(_apart(candidates_by_span))

    def _rows(self, output_path: Path) -> Iterator[tuple[tuple[int, int], Candidate]]:
        for row_number, output_line in enumerate(
            files.read_text(output_path, files.MAX_DOCUMENT, "Run it again.").splitlines(), 1
        ):
            fields = output_line.split("|")
            if len(fields) > 1 and fields[1] != "MMI":
                continue  # AA and UA rows: abbreviations
            try:
                score, preferred_name, cui, type_list, span_list = (
                    float(fields[2]),
                    fields[3],
                    fields[4],
                    fields[5],
                    fields[8],
                )
            except (IndexError, ValueError):
                raise InputError(
                    "this is not a row of MMI output", "Run it again.", path=output_path, row=row_number
                ) from None
            if CONCEPT_ID.fullmatch(cui) is None:
                raise InputError(f"the CUI is not {CONCEPT_ID_FORM}", "Run it again.", path=output_path, row=row_number)
            type_ids = tuple(
                _TYPES.get(abbreviation, abbreviation)
                for abbreviation in type_list.strip("[]").split(",")
                if abbreviation
            )
            for start, length in _SPAN.findall(span_list):
                if int(length):
                    yield (int(start), int(start) + int(length)), Candidate(cui, preferred_name, score, type_ids)


def _apart(candidates_by_span: dict[tuple[int, int], dict[str, Candidate]]) -> Iterator[Mention]:
    chosen_spans: list[tuple[int, int]] = []
    for start, end in sorted(candidates_by_span, key=lambda span: (span[0] - span[1], span)):
        if all(end <= chosen_start or chosen_end <= start for chosen_start, chosen_end in chosen_spans):
            chosen_spans.append((start, end))
    for start, end in sorted(chosen_spans):
        ranked_candidates = sorted(
            candidates_by_span[start, end].values(), key=lambda candidate: (-candidate.score, candidate.cui)
        )[:MAX_CANDIDATES]
        best_score = ranked_candidates[0].score or 1.0
        scaled_candidates = tuple(
            candidate._replace(score=max(0.0, min(1.0, candidate.score / best_score)))
            for candidate in ranked_candidates
        )
        yield Mention(start, end, scaled_candidates)


def _hash(text_bytes: bytes) -> str:
    return hashlib.sha256(text_bytes).hexdigest()
