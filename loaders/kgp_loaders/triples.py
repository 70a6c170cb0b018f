r"""Your own graph: triples in CSV, TSV or Parquet, one edge a row.

Columns are given by role, or recognised by common names (`COLUMNS`). A node's type comes from its type column, else
from the first pattern that matches its whole id, else it is `Thing`:

- `Image` and `Concept` become the platform's own nodes, so their ids must be of that form (I and digits; a CUI);
- any other type T becomes `(:Thing:T {id: "T:id", type: T, name: …})`, the same id in two types being two nodes.

A type that is no label yet is made one: its parts of letters and digits, each with a capital first letter, joined.
`gene/protein` and `gene protein` become `GeneProtein`, `Gene_Product` stays.

Relation names stay as they are; a row whose relation breaks the rule of `kgplatform.schema` is rejected. Only the
stances between an image and a concept are recognised in any case (`positive` is `POSITIVE`).

Patterns are RE2's (https://github.com/google/re2/wiki/Syntax), run by pyarrow. RE2 takes time in proportion to the
text whatever the pattern, so no pattern can hang a load; it knows no back-references and no look-around. `\d` is 0-9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from kgp_loaders.tabular import Row, Table, collect, open_table, role_hint
from kgplatform.batches import GraphBatch, NodeRef, Properties, Reject
from kgplatform.errors import InputError, UsageError
from kgplatform.schema import CONCEPT_ID, IMAGE_ID, LABEL, NODE_TYPES, OWN_LABELS, Stance, relation_problem
from kgplatform.suggest import did_you_mean

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "head": ("head", "head_id", "h", "subject", "subject_id", "source", "source_id", "x_id", "from", ":start_id"),
    "relation": ("relation", "relation_type", "r", "rel", "predicate", "edge", "edge_type", "metaedge", ":type"),
    "tail": ("tail", "tail_id", "t", "object", "object_id", "target", "target_id", "y_id", "to", ":end_id"),
    "head_type": ("head_type", "subject_type", "subject_category", "source_type", "x_type"),
    "tail_type": ("tail_type", "object_type", "object_category", "target_type", "y_type"),
    "head_name": ("head_name", "subject_name", "source_name", "x_name"),
    "tail_name": ("tail_name", "object_name", "target_name", "y_name"),
}
REQUIRED: Final = ("head", "relation", "tail")
PATTERNS: Final = (r"Image=I\d+", r"Concept=C\d{7}")
DEFAULT_TYPE: Final = "Thing"
MAX_ID: Final = 1_000  # characters; Neo4j indexes keys of up to about 8 kB
MAX_NAME: Final = 10_000  # characters

_OWN_LABELS: Final = {*NODE_TYPES, *OWN_LABELS} - {"Image", "Concept", DEFAULT_TYPE}
_ID_FORMS: Final = {"Image": (IMAGE_ID, "I and 1-18 digits"), "Concept": (CONCEPT_ID, "C and 7 digits")}
_PARTS: Final = re.compile(r"[A-Za-z0-9]+")

Typed: TypeAlias = Mapping[str, str]  # id -> type by pattern


@dataclass(frozen=True)
class _End:
    """Where the head or the tail stands among a row's values."""

    side: str
    id: int
    type: int | None
    name: int | None


class Triples:
    """A file of triples as a `kgplatform.batches.Source`.

    `columns` maps roles (the keys of `COLUMNS`) to the file's column names; `types` lists patterns as ``TYPE=REGEX``.
    Raises `InputError` where the file is unusable or a column is not found, `UsageError` on a bad role or pattern.
    """

    kind = "triples"
    version = 1

    def __init__(self, path: Path, columns: Mapping[str, str] | None = None, types: Sequence[str] = PATTERNS) -> None:
        self.path = path
        self.files = (path,)
        self._table = open_table(path)
        self._columns = _resolve(self._table, columns or {})
        self._patterns = [_pattern(text) for text in types]
        self.parameters: Mapping[str, Any] = {"columns": self._columns, "types": list(types)}
        place = {role: number for number, role in enumerate(self._columns)}
        self._head, self._tail = (
            _End(side, place[side], place.get(f"{side}_type"), place.get(f"{side}_name")) for side in ("head", "tail")
        )
        self._relation = place["relation"]

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` rows. Raises `InputError` where the whole file is unusable."""
        rows = self._table.rows(list(self._columns.values()))
        while chunk := list(islice(rows, size)):
            yield collect(self.path, chunk, partial(self._add, self._typed(chunk)))

    def _typed(self, rows: Sequence[Row | Reject]) -> Typed:
        """The types that patterns give to the ids in these rows; the first pattern wins."""
        import pyarrow as pa
        import pyarrow.compute as pc

        by_pattern = [end.id for end in (self._head, self._tail) if end.type is None]
        ids = {row[1][i] for row in rows if not isinstance(row, Reject) for i in by_pattern}
        array = pa.array([text for text in ids if len(text) <= MAX_ID], pa.string())
        typed: dict[str, str] = {}
        for name, pattern in reversed(self._patterns):
            matching = array.filter(pc.match_substring_regex(array, pattern))
            typed.update(dict.fromkeys(matching.to_pylist(), name))
        return typed

    def _add(self, typed: Typed, batch: GraphBatch, *values: str) -> str | None:
        """Put the row's edge into the batch, or return why it cannot stand in the graph."""
        head, tail = _node(self._head, values, typed), _node(self._tail, values, typed)
        if isinstance(head, str):
            return head
        if isinstance(tail, str):
            return tail
        (source, _), (target, _) = head, tail
        relation = values[self._relation]
        if (source[0], target[0]) == ("Image", "Concept") and relation.upper() in Stance.__members__:
            relation = relation.upper()
        problem = _relation_problem(relation, source[0], target[0])
        if problem is None and source == target and source[0] == "Concept":
            problem = "a concept cannot be related to itself"
        if problem is None:
            for node, properties in (head, tail):  # the first value of a property stays, as in the graph
                batch.nodes[node] = {**properties, **batch.nodes.get(node, {})}
            batch.edges[source, relation, target] = {}
        return problem


def type_name(text: str) -> str | None:
    """The type as a label: unchanged when it is one, else its parts capitalised and joined; None when neither works."""
    if LABEL.fullmatch(text):
        return text
    if not text.isascii():  # dropping what is not ASCII would make different types one
        return None
    label = "".join(part[0].upper() + part[1:] for part in _PARTS.findall(text))
    return label if LABEL.fullmatch(label) else None


def _node(end: _End, values: Sequence[str], typed: Typed) -> tuple[NodeRef, Properties] | str:
    """The node at one end of a row, or why there is none."""
    identity = values[end.id]
    if not identity or len(identity) > MAX_ID or not identity.isprintable() or identity.isspace():
        return f"the {end.side} must be 1-{MAX_ID:,} printable characters"
    name = "" if end.name is None else values[end.name]
    if len(name) > MAX_NAME:
        return f"the {end.side}'s name is longer than {MAX_NAME:,} characters"
    kind = typed.get(identity, DEFAULT_TYPE) if end.type is None else _column_type(values[end.type])
    if kind is None:
        return f"the {end.side}'s type is not letters and digits beginning with a letter, at most 63 in all"
    if kind in _OWN_LABELS:
        return f"the {end.side}'s type {kind} is one of the platform's own labels"
    if kind not in _ID_FORMS:
        return ("Thing", f"{kind}:{identity}"), {"type": kind, "name": name or identity}
    form, told = _ID_FORMS[kind]
    if not form.fullmatch(identity):
        return f"the {end.side} is of type {kind}, so its id must be {told}"
    return (kind, identity), {"name": name} if name and kind == "Concept" else {}


def _resolve(table: Table, given: Mapping[str, str]) -> dict[str, str]:
    """The file's column for each role, in the order of `COLUMNS`; optional ones may be absent."""
    unknown = given.keys() - COLUMNS.keys()
    if unknown:
        hint = did_you_mean(min(unknown), COLUMNS, f"The roles: {', '.join(COLUMNS)}.")
        raise UsageError(f"there is no role {min(unknown)}", hint)
    by_name = {name.casefold(): name for name in reversed(table.columns)}
    chosen: dict[str, str] = {}
    for role, common in COLUMNS.items():
        if role in given:
            chosen[role] = (
                given[role] if given[role] in table.columns else by_name.get(given[role].casefold(), given[role])
            )
        else:
            chosen.update((role, by_name[name]) for name in reversed(common) if name in by_name)
    missing = [role for role in REQUIRED if role not in chosen]
    if missing:
        options = " ".join(f"--column {role}=NAME" for role in missing)
        hint = f"Say which they are: {options}. {role_hint(missing, COLUMNS, table.columns)}"
        raise InputError(f"no column is recognised as {', '.join(missing)}", hint, path=table.path)
    table.rows(list(chosen.values()))  # raises now, not at the first batch, where a column that was given is not there
    return {role: chosen[role] for role in COLUMNS if role in chosen}


def _pattern(text: str) -> tuple[str, str]:
    """A ``TYPE=REGEX`` as the type and an RE2 pattern for whole ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name, equals, regex = text.partition("=")
    if not equals or not LABEL.fullmatch(name) or name in _OWN_LABELS:
        hint = r"Write TYPE=REGEX, e.g. Gene=ENSG\d+. TYPE is letters, digits and '_' after a capital letter, and not "
        hint += ", ".join(sorted(_OWN_LABELS)) + "."
        raise UsageError(f"not a type pattern: {text}", hint)
    whole = f"^(?:{regex})$"
    try:
        for pattern in (regex, whole):  # alone too, so that a stray parenthesis cannot end the group
            pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise UsageError(f"not a pattern that RE2 knows: {text}", str(error)) from None
    return name, whole


@lru_cache(maxsize=4096)
def _column_type(text: str) -> str | None:
    return type_name(text)


@lru_cache(maxsize=4096)
def _relation_problem(relation: str, head: str, tail: str) -> str | None:
    return relation_problem(relation, head, tail)
