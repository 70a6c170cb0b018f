r"""Your own graph: triples in CSV, TSV or Parquet, one edge a row.

Columns are given by role, or recognised by common names (`COLUMNS`). A node's type comes from its type column, else
from the first pattern that matches its whole id, else it is `Thing`:

- `Image` and `Concept` become the platform's own nodes, so their ids must be of that form (I and digits; a CUI);
- any other type T becomes `(:Thing:T {id: "T:id", type: T, name: …})`, the same id in two types being two nodes. It
  has a name where a file states one; an id in its place would take precedence over the name in a file loaded later.

A type that is no label yet is made one: its parts of letters and digits, each with a capital first letter, joined.
`gene/protein` and `gene protein` become `GeneProtein`, `Gene_Product` stays.

Relation names stay unchanged; a row whose relation breaks the rule of `kgplatform.schema` is rejected. Only the
stances between an image and a concept are recognised in any case (`positive` is `POSITIVE`).

Patterns are RE2's (https://github.com/google/re2/wiki/Syntax), run by pyarrow. RE2 takes time in proportion to the
text regardless of the pattern, so no pattern can hang a load; it knows no back-references and no look-around. `\d` is
0-9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from kgp_loaders.table_columns import Row, Table, role_hint
from kgp_loaders.tabular import collect, open_table
from kgplatform.batches import GraphBatch, NodeRef, Properties, Reject
from kgplatform.errors import InputError, UsageError
from kgplatform.schema import (
    CONCEPT_ID,
    CONCEPT_ID_FORM,
    IMAGE_ID,
    LABEL,
    NODE_TYPES,
    OWN_LABELS,
    Stance,
    relation_problem,
)
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
NEARLY_OWN: Final = (
    "rows with an id like C32227 or c0032227, a Thing here: a concept's is C and 7 digits, an image's I and digits"
)
MAX_ID: Final = 1_000  # characters; Neo4j indexes keys of up to about 8 kB
MAX_NAME: Final = 10_000  # characters

_OWN_LABELS: Final = {*NODE_TYPES, *OWN_LABELS} - {"Image", "Concept", DEFAULT_TYPE}
_ID_FORMS: Final = {"Image": (IMAGE_ID, "I and 1-18 digits"), "Concept": (CONCEPT_ID, CONCEPT_ID_FORM)}
_NEARLY_OWN: Final = re.compile(r"[CcIi][ _:-]?[0-9]+")
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
    version = 3  # 2 kept spaces around a value, 1 used the id as the name where a file had none

    def __init__(self, path: Path, columns: Mapping[str, str] | None = None, types: Sequence[str] = PATTERNS) -> None:
        self.path = path
        self.files = (path,)
        self._table = open_table(path)
        self._columns = _resolve(self._table, columns or {})
        self._patterns = [_pattern(pattern_text) for pattern_text in types]
        self.parameters: Mapping[str, Any] = {"columns": self._columns, "types": list(types)}
        positions = {role: index for index, role in enumerate(self._columns)}
        self._head, self._tail = (
            _End(side, positions[side], positions.get(f"{side}_type"), positions.get(f"{side}_name"))
            for side in ("head", "tail")
        )
        self._relation = positions["relation"]

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` rows. Raises `InputError` where the whole file is unusable."""
        table_rows = self._table.rows(list(self._columns.values()))
        while chunk := list(islice(table_rows, size)):
            yield collect(self.path, chunk, partial(self._add, self._typed(chunk)))

    def _typed(self, table_rows: Sequence[Row | Reject]) -> Typed:
        """The types that patterns give to the ids in these rows; the first pattern wins."""
        import pyarrow as pa
        import pyarrow.compute as pc

        untyped_columns = [end.id for end in (self._head, self._tail) if end.type is None]
        ids = {
            record[1][id_column].strip()
            for record in table_rows
            if not isinstance(record, Reject)
            for id_column in untyped_columns
        }
        id_array = pa.array([node_id for node_id in ids if len(node_id) <= MAX_ID], pa.string())
        types_by_id: dict[str, str] = {}
        for label, pattern in reversed(self._patterns):
            matching_ids = id_array.filter(pc.match_substring_regex(id_array, pattern))
            types_by_id.update(dict.fromkeys(matching_ids.to_pylist(), label))
        return types_by_id

    def _add(self, types_by_id: Typed, batch: GraphBatch, *values: str) -> str | None:
        """Put the row's edge into the batch, or return why it cannot be in the graph."""
        values = tuple(value.strip() for value in values)  # "a, treats, b"
        head_node, tail_node = _node(self._head, values, types_by_id), _node(self._tail, values, types_by_id)
        if isinstance(head_node, str):
            return head_node
        if isinstance(tail_node, str):
            return tail_node
        (source_ref, _), (target_ref, _) = head_node, tail_node
        relation = values[self._relation]
        if (source_ref[0], target_ref[0]) == ("Image", "Concept") and relation.upper() in Stance.__members__:
            relation = relation.upper()
        problem = _relation_problem(relation, source_ref[0], target_ref[0])
        if problem is None and source_ref == target_ref and source_ref[0] == "Concept":
            problem = "a concept cannot be related to itself"
        if problem is None:
            for node, properties in (head_node, tail_node):  # the first value of a property stays, as in the graph
                batch.nodes[node] = {**properties, **batch.nodes.get(node, {})}
            batch.edges[source_ref, relation, target_ref] = {}
            ends = ((self._head, source_ref), (self._tail, target_ref))
            if any(_is_nearly_own(end, values, node_type) for end, (node_type, _) in ends):
                batch.remarks[NEARLY_OWN] = batch.remarks.get(NEARLY_OWN, 0) + 1
        return problem


def type_name(text: str) -> str | None:
    """The type as a label: unchanged when it is one, else its parts capitalised and joined; None when neither works."""
    if LABEL.fullmatch(text):
        return text
    if not text.isascii():  # dropping what is not ASCII would make different types one
        return None
    label = "".join(word[0].upper() + word[1:] for word in _PARTS.findall(text))
    return label if LABEL.fullmatch(label) else None


def _is_nearly_own(end: _End, values: Sequence[str], node_type: str) -> bool:
    """Whether an id that became a Thing is nearly one of a concept or an image, and no column says what it is."""
    return node_type == DEFAULT_TYPE and end.type is None and _NEARLY_OWN.fullmatch(values[end.id]) is not None


def _node(end: _End, values: Sequence[str], types_by_id: Typed) -> tuple[NodeRef, Properties] | str:
    """The node at one end of a row, or why there is none."""
    identity = values[end.id]
    if not identity or len(identity) > MAX_ID or not identity.isprintable() or identity.isspace():
        return f"the {end.side} must be 1-{MAX_ID:,} printable characters"
    node_name = "" if end.name is None else values[end.name]
    if len(node_name) > MAX_NAME:
        return f"the {end.side}'s name is longer than {MAX_NAME:,} characters"
    node_type = types_by_id.get(identity, DEFAULT_TYPE) if end.type is None else _column_type(values[end.type])
    if node_type is None:
        return f"the {end.side}'s type is not letters and digits beginning with a letter, at most 63 in all"
    if node_type in _OWN_LABELS:
        return f"the {end.side}'s type {node_type} is one of the platform's own labels"
    named = {"name": node_name} if node_name else {}
    if node_type not in _ID_FORMS:
        return ("Thing", f"{node_type}:{identity}"), {"type": node_type, **named}
    id_form, description = _ID_FORMS[node_type]
    if not id_form.fullmatch(identity):
        return f"the {end.side} is of type {node_type}, so its id must be {description}"
    return (node_type, identity), named if node_type == "Concept" else {}


def _resolve(table: Table, requested: Mapping[str, str]) -> dict[str, str]:
    """The file's column for each role, in the order of `COLUMNS`; optional ones may be absent."""
    unknown_roles = requested.keys() - COLUMNS.keys()
    if unknown_roles:
        hint = did_you_mean(min(unknown_roles), COLUMNS, f"The roles: {', '.join(COLUMNS)}.")
        raise UsageError(f"there is no role {min(unknown_roles)}", hint)
    columns_by_name = {column_name.casefold(): column_name for column_name in reversed(table.columns)}
    columns_by_role: dict[str, str] = {}
    for role, usual_names in COLUMNS.items():
        if role in requested:
            columns_by_role[role] = (
                requested[role]
                if requested[role] in table.columns
                else columns_by_name.get(requested[role].casefold(), requested[role])
            )
        else:
            columns_by_role.update(
                (role, columns_by_name[column_name])
                for column_name in reversed(usual_names)
                if column_name in columns_by_name
            )
    for role, column_name in columns_by_role.items():
        twin = next((other for other, name in columns_by_role.items() if name == column_name and other != role), None)
        if twin is not None:
            raise UsageError(f"{role} and {twin} are the same column, {column_name}", "Give each a separate column.")
    missing_roles = [role for role in REQUIRED if role not in columns_by_role]
    if missing_roles:
        column_options = " ".join(f"--column {role}=NAME" for role in missing_roles)
        hint = f"Name the columns: {column_options}. {role_hint(missing_roles, COLUMNS, table.columns)}"
        raise InputError(f"no column is recognised as {', '.join(missing_roles)}", hint, path=table.path)
    table.rows(list(columns_by_role.values()))  # raises now, not at the first batch, if a given column does not exist
    return {role: columns_by_role[role] for role in COLUMNS if role in columns_by_role}


def _pattern(pattern_text: str) -> tuple[str, str]:
    """A ``TYPE=REGEX`` as the type and an RE2 pattern for whole ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    type_label, separator, regex = pattern_text.partition("=")
    if not separator or not LABEL.fullmatch(type_label) or type_label in _OWN_LABELS:
        hint = r"Write TYPE=REGEX, e.g. Gene=ENSG\d+. TYPE is letters, digits and '_' after a capital letter, and not "
        hint += ", ".join(sorted(_OWN_LABELS)) + "."
        raise UsageError(f"not a type pattern: {pattern_text}", hint)
    full_pattern = f"^(?:{regex})$"
    try:
        for pattern in (regex, full_pattern):  # alone too, so that a stray parenthesis cannot end the group
            pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise UsageError(f"not a pattern that RE2 knows: {pattern_text}", str(error)) from None
    return type_label, full_pattern


@lru_cache(maxsize=4096)
def _column_type(text: str) -> str | None:
    return type_name(text)


@lru_cache(maxsize=4096)
def _relation_problem(relation: str, head: str, tail: str) -> str | None:
    return relation_problem(relation, head, tail)
