"""What the server returns, as plain values: records, counters of a write, plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import neo4j


@dataclass(frozen=True)
class WriteResult:
    """What a write returned and changed."""

    records: list[dict[str, Any]] = field(default_factory=list)
    nodes_created: int = 0
    nodes_deleted: int = 0
    relationships_created: int = 0
    relationships_deleted: int = 0
    properties_set: int = 0


class Notice(NamedTuple):
    """What the server remarks on a statement: its GQL status, its words, and the line and column (0: nowhere)."""

    status: str
    text: str
    line: int
    column: int


@dataclass(frozen=True)
class Plan:
    """How the server would run a statement: its query type (r, w, rw, s), its operators as (name, details), notices,
    and the columns of its answer.
    """

    query_type: str
    operators: list[tuple[str, str]]
    notices: list[Notice]
    columns: tuple[str, ...] = ()


def write_result(query_result: neo4j.Result) -> WriteResult:
    """The records of a write and what it changed."""
    records = [dict(record) for record in query_result]
    counters = query_result.consume().counters
    return WriteResult(
        records,
        counters.nodes_created,
        counters.nodes_deleted,
        counters.relationships_created,
        counters.relationships_deleted,
        counters.properties_set,
    )


def has_graph_types(record: Mapping[str, Any]) -> bool:
    """Whether a record may hold nodes, relationships or paths."""
    return any(isinstance(value, neo4j.graph.Entity | neo4j.graph.Path | list) for value in record.values())


def plan_operators(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The operators of a plan and of its children, as (name, details)."""
    if "operatorType" in plan:
        operator_name = plan["operatorType"].rpartition("@")[0] or plan["operatorType"]
        yield operator_name, str(plan.get("args", {}).get("Details", ""))
    for child_plan in plan.get("children", ()):
        yield from plan_operators(child_plan)


def server_notices(summary: neo4j.ResultSummary) -> Iterator[Notice]:
    """What the server remarks on a statement."""
    for status_object in summary.gql_status_objects:
        source_position = status_object.position
        yield Notice(
            status_object.gql_status,
            status_object.status_description,
            source_position.line if source_position else 0,
            source_position.column if source_position else 0,
        )


def plain_value(value: Any) -> Any:
    """A node, relationship or path as maps and lists; other values unchanged. Lists and maps are changed in place: a
    copy of a large one would double the memory.
    """
    if isinstance(value, neo4j.graph.Node):
        return {"id": value.element_id, "labels": sorted(value.labels), "properties": dict(value)}
    if isinstance(value, neo4j.graph.Relationship):
        end_nodes = {"start": value.start_node, "end": value.end_node}
        end_ids = {entry_key: node.element_id if node else None for entry_key, node in end_nodes.items()}
        return {"id": value.element_id, "type": value.type, **end_ids, "properties": dict(value)}
    if isinstance(value, neo4j.graph.Path):
        return {
            "nodes": [plain_value(path_node) for path_node in value.nodes],
            "relationships": [plain_value(relationship) for relationship in value.relationships],
        }
    if isinstance(value, list):
        for index, entry in enumerate(value):
            value[index] = plain_value(entry)
    elif isinstance(value, dict):
        for entry_key, entry in value.items():
            value[entry_key] = plain_value(entry)
    return value
