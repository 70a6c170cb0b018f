r"""For people with py2neo code: a `py2neo.Graph` from our settings, and subgraphs as `GraphBatch` and back.

py2neo (extra ``py2neo``) writes labels, keys and relationship types into Cypher text, escaping them by doubling
backticks, which ``\u0060`` gets around. So no name crosses this module, in either direction, unless it keeps to the
rules of `kgplatform.schema`; values only ever travel as parameters. See docs/py2neo.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from kgplatform.batches import GraphBatch, NodeRef, Properties
from kgplatform.connect import open_graph
from kgplatform.errors import ConnectionFailed, InputError
from kgplatform.extras import missing
from kgplatform.schema import (
    CLAIMS,
    CONCEPT_ID,
    DERIVED,
    FORMER_CLAIMS,
    IMAGE_ID,
    LABEL,
    NODE_TYPES,
    OWN_LABELS,
    presence_labels,
    relation_problem,
)
from kgplatform.settings import Settings
from kgplatform.suggest import did_you_mean

if TYPE_CHECKING:
    import py2neo

_PROPERTY: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")  # what `kgplatform.ingest` accepts
_OWN_LABELS: Final = OWN_LABELS | NODE_TYPES.keys() - {"Thing"}
_NOT_ASSERTED: Final = {"runs", CLAIMS, FORMER_CLAIMS, *DERIVED}  # the platform's own notes, which no source may set
_ID_FORMS: Final = {"Image": IMAGE_ID, "Concept": CONCEPT_ID}


def connect(settings: Settings | None = None) -> py2neo.Graph:
    """A `py2neo.Graph` on ``NEO4J_URI``, or on the local server that `kgp db start` runs.

    Raises `SettingsError` without py2neo, `ConnectionFailed`, `LoginFailed` or `DatabaseError`.
    """
    py2neo = _py2neo()
    from py2neo.errors import ConnectionUnavailable

    settings = settings or Settings.from_env()
    with open_graph(settings):  # raises what py2neo does not tell apart: no server, and a refused login
        pass
    if settings.uri is not None:
        uri, username, password = settings.uri, settings.username, settings.password or ""
    else:
        from kgplatform.server import connection

        uri, username, password = connection(settings)
    try:
        return py2neo.Graph(uri, auth=(username, password), name=settings.database)
    except ConnectionUnavailable:
        hint = "py2neo speaks Bolt up to 4.3; a server that wants a newer one needs the official driver."
        raise ConnectionFailed(f"py2neo cannot talk to {uri}", hint) from None


def to_subgraph(batch: GraphBatch) -> py2neo.Subgraph:
    """The batch as unbound py2neo nodes and relationships, ready for ``graph.merge(subgraph)``.

    Each node carries its primary label and key, so that merging it finds what the platform wrote. Merging does not
    note a run: load with `kgplatform.ingest` where provenance matters. Raises `InputError` on a name outside the
    schema, and on an `enrich` batch, whose nodes must not be created.
    """
    py2neo = _py2neo()
    if batch.enrich:
        raise InputError("a batch that only completes nodes cannot be merged: merging would create them")
    nodes_by_ref = {node_ref: _to_node(py2neo, node_ref, properties) for node_ref, properties in batch.nodes.items()}
    relationships = []
    for (head, relation, tail), properties in batch.edges.items():
        _check_relation(relation, head[0], tail[0])
        _check_properties(properties)
        relationship = py2neo.Relationship(nodes_by_ref[head], relation, nodes_by_ref[tail])
        relationship.update(properties)
        relationships.append(relationship)
    return py2neo.Subgraph(nodes_by_ref.values(), relationships)


def from_subgraph(subgraph: py2neo.Subgraph) -> GraphBatch:
    """The subgraph's nodes and relationships as a batch, for `kgplatform.ingest`; scores and runs are left out.

    Raises `InputError` on a label, key, relation or property outside the schema.
    """
    batch = GraphBatch()
    node_refs: dict[int, NodeRef] = {}
    for node in subgraph.nodes:
        node_ref, properties = _from_node(node)
        node_refs[id(node)] = node_ref
        batch.nodes[node_ref] = {**properties, **batch.nodes.get(node_ref, {})}
    for relationship in subgraph.relationships:
        end_refs = [node_refs.get(id(node)) or _from_node(node)[0] for node in relationship.nodes]
        head, tail = end_refs[0], end_refs[-1]
        relation = type(relationship).__name__
        _check_relation(relation, head[0], tail[0])
        batch.edges[head, relation, tail] = _asserted(dict(relationship))
    batch.read = len(batch.edges) or len(batch.nodes)
    return batch


def _py2neo() -> ModuleType:
    try:
        import py2neo
    except ImportError:
        raise missing("py2neo", "py2neo") from None
    return cast("ModuleType", py2neo)


def _to_node(py2neo: ModuleType, node_ref: NodeRef, properties: Properties) -> py2neo.Node:
    node_label, node_key = node_ref
    _check_node(node_label, node_key)
    _check_properties(properties)
    node_labels = [node_label]
    if node_label == "Thing":
        entity_kind = node_key.partition(":")[0]
        node_labels += [entity_kind] if entity_kind != node_label else []
    node_labels += presence_labels(node_label, properties)
    node = py2neo.Node(*node_labels)
    node.update({**properties, NODE_TYPES[node_label].key: node_key})
    node.__primarylabel__ = node_label
    node.__primarykey__ = NODE_TYPES[node_label].key
    return node


def _from_node(node: py2neo.Node) -> tuple[NodeRef, dict[str, Any]]:
    node_labels = set(node.labels)
    own_labels = node_labels & NODE_TYPES.keys()
    if len(own_labels) != 1:
        raise InputError(f"a node must have exactly one label of {', '.join(NODE_TYPES)}")
    node_label = own_labels.pop()
    properties = dict(node)
    node_key = properties.pop(NODE_TYPES[node_label].key, None)
    if not isinstance(node_key, str):
        raise InputError(f"a node of label {node_label} must have its {NODE_TYPES[node_label].key} as text")
    _check_node(node_label, node_key)
    expected_labels = {node_label, node_key.partition(":")[0]} if node_label == "Thing" else {node_label}
    if node_labels - set(presence_labels(node_label, properties)) != expected_labels:
        raise InputError(f"a node of label {node_label} has a second label that does not fit its id or presence")
    return (node_label, node_key), _asserted(properties)


def _asserted(properties: Mapping[str, Any]) -> dict[str, Any]:
    asserted_properties = {
        property_name: property_value
        for property_name, property_value in properties.items()
        if property_name not in _NOT_ASSERTED
    }
    _check_properties(asserted_properties)
    return asserted_properties


def _check_node(node_label: str, node_key: str) -> None:
    if node_label not in NODE_TYPES:
        raise InputError(f"a node's label must be one of {', '.join(NODE_TYPES)}", did_you_mean(node_label, NODE_TYPES))
    id_form = _ID_FORMS.get(node_label)
    if id_form is not None and not id_form.fullmatch(node_key):
        raise InputError(f"the {NODE_TYPES[node_label].key} of a node of label {node_label} does not have its form")
    if node_label == "Thing":
        entity_kind, separator, identity = node_key.partition(":")
        if not separator or not identity or LABEL.fullmatch(entity_kind) is None or entity_kind in _OWN_LABELS:
            raise InputError("the id of a Thing must be TYPE:ID, TYPE being a label that is not the platform's own")


def _check_relation(relation: str, head_label: str, tail_label: str) -> None:
    problem = relation_problem(relation, head_label, tail_label)
    if problem is not None:
        raise InputError(problem)


def _check_properties(properties: Properties) -> None:
    if any(_PROPERTY.fullmatch(property_name) is None for property_name in properties):
        raise InputError("a property name must be lower-case letters, digits and '_', beginning with a letter")
    if properties.keys() & (_NOT_ASSERTED | {"id", "cui"}):
        raise InputError("id, cui, runs, claims and scores are the platform's own properties")
    if any(not _storable(property_value) for property_value in properties.values()):
        raise InputError("a property must be text, a number, a truth value or a list of one of these")


def _storable(value: object) -> bool:
    if isinstance(value, list):
        return len({type(list_entry) for list_entry in value}) <= 1 and all(
            isinstance(list_entry, str | int | float) for list_entry in value
        )
    return isinstance(value, str | int | float)
