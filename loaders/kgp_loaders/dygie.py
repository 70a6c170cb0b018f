"""Graphs of reports in DyGIE++'s form (Wadden et al. 2019): JSON Lines of sentences, entities and relations.

    {"doc_key": "a", "sentences": [["Small", "effusion"]], "ner": [[[1, 1, "OBS-DP"]]], "relations": [[]]}

RadGraph-XL's annotations are published in it, and DyGIE++ writes its predictions so (`predicted_ner`,
`predicted_relations`, whose entries have scores at their end). Positions are those of tokens of the whole document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kgp_loaders.json_rows import json_documents
from kgplatform import files

FIRST_LINES: Final = 10  # of which the first that is not blank tells the form
MAX_SAMPLE: Final = 1 << 20  # bytes in which a document over several lines names what it has
MAX_LINE: Final = 16 << 20  # bytes of a line of JSON


class GraphDamage(Exception):
    """Why something is not a graph; never quotes it."""


def is_dygie(path: Path) -> bool:
    """Whether the first document is an object of DyGIE++'s form."""
    with files.open_regular_file(path) as json_file:
        first_lines = (json_file.readline(MAX_LINE) for _ in range(FIRST_LINES))
        first_line = next((line for line in first_lines if line.removeprefix(b"\xef\xbb\xbf").strip()), b"")
        sample = first_line + json_file.read(MAX_SAMPLE)
    try:
        document = json.loads(first_line.decode("utf-8-sig"))
        document = document[0] if isinstance(document, list) and document else document
    except (ValueError, RecursionError):
        has_names = any(name in sample for name in (b'"doc_key"', b'"sentences"'))
        document = next((entry for _, entry in _spread_documents(path)), None) if has_names else None
    return isinstance(document, dict) and bool({"doc_key", "sentences"} & document.keys())


def read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The objects of a JSON Lines file with their line, None for a line that is none; or those of a file in which they
    take several lines each, or are a list, with their number.
    """
    with files.open_regular_file(path) as json_file:
        first_line = json_file.readline(MAX_LINE).removeprefix(b"\xef\xbb\xbf").strip()
    if first_line in (b"{", b"[") or first_line[:1] == b"[":
        documents = _spread_documents(path)
        if documents:
            yield from documents
            return
    with files.open_regular_file(path) as json_file:
        for line_number, line in enumerate(iter(lambda: json_file.readline(MAX_LINE + 1), b""), 1):
            if not line.strip():
                continue
            try:
                yield line_number, json.loads(line.decode("utf-8-sig")) if len(line) <= MAX_LINE else None
            except (ValueError, RecursionError):
                yield line_number, None


def _spread_documents(path: Path) -> list[tuple[int, Any]]:
    """The documents of the file, or the entries of its list, numbered from 1; none where it is not JSON."""
    with files.open_regular_file(path) as json_file:
        content = json_file.read(files.MAX_DOCUMENT + 1)
    try:
        documents = list(json_documents(content.decode("utf-8-sig"))) if len(content) <= files.MAX_DOCUMENT else []
    except (ValueError, RecursionError):
        return []
    entries = documents[0] if len(documents) == 1 and isinstance(documents[0], list) else documents
    return list(enumerate(entries, 1))


def graph_of_line(document: Any) -> tuple[str, dict[str, Any]]:
    """The name of a document of DyGIE++'s form, and its graph in RadGraph's own. Raises `GraphDamage`."""
    fields = require_object(document, "the line")
    tokens = [token for sentence in _lists(fields.get("sentences"), "sentences") for token in sentence]
    if not all(isinstance(token, str) for token in tokens):
        raise GraphDamage("sentences: a token is not text")
    entities: dict[str, dict[str, Any]] = {}
    id_by_span: dict[tuple[int, int], str] = {}
    for entry in _entries(fields, "ner", 3):
        first, last, label = entry[:3]
        if not all(type(position) is int and 0 <= position < len(tokens) for position in (first, last)):
            raise GraphDamage("ner: a position is not that of a token")
        if (first, last) not in id_by_span:
            id_by_span[first, last] = entity_id = str(len(entities) + 1)
            entities[entity_id] = {
                "tokens": " ".join(tokens[first : last + 1]),
                "label": label,
                "start_ix": first,
                "end_ix": last,
                "relations": [],
            }
    has_annotations = any(fields.get("ner") or [])
    for entry in _entries(fields, "relations", 5):
        head, tail = id_by_span.get(_span(entry[:2])), id_by_span.get(_span(entry[2:4]))
        if head is not None and tail is not None:
            entities[head]["relations"].append([entry[4], tail])
        elif has_annotations:  # a prediction may join a span that is not predicted to be an entity
            raise GraphDamage("relations: an end is not an entity")
    name, source = fields.get("doc_key"), fields.get("dataset")
    source = source if isinstance(source, str) else ""
    if type(name) is int and source:  # RadGraph-XL counts from 0 in each of its data sets
        name = f"{source}:{name}"
    graph = {"text": " ".join(tokens), "entities": entities, "data_source": source}
    return str(name) if isinstance(name, str) or type(name) is int else "", graph


def _entries(fields: Mapping[str, Any], kind: str, least: int) -> Iterator[list[Any]]:
    """The entries of all sentences: of the annotations, else of the predictions."""
    sentences = fields.get(kind)
    if not sentences or not any(sentences):
        sentences = fields.get(f"predicted_{kind}") or sentences or []
    for sentence in _lists(sentences, kind):
        for entry in sentence:
            if not isinstance(entry, list) or len(entry) < least:
                raise GraphDamage(f"{kind}: an entry is not a list of {least} or more")
            yield entry


def _span(positions: list[Any]) -> tuple[int, int]:
    if not all(type(position) is int for position in positions):
        raise GraphDamage("relations: a position is not a number")
    return positions[0], positions[1]


def _lists(content: Any, subject: str) -> list[list[Any]]:
    if not isinstance(content, list) or not all(isinstance(part, list) for part in content):
        raise GraphDamage(f"{subject}: not a list of lists")
    return content


def require_object(content: Any, subject: str) -> dict[str, Any]:
    """The JSON object unchanged; `subject` names it. Raises `GraphDamage` for anything else."""
    if not isinstance(content, dict):
        raise GraphDamage(f"{subject}: not a JSON object, or a name occurs twice in it")
    return content
