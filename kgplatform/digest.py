"""One value for all that sources assert in the graph: equal digests mean equal graphs.

Each node and edge is hashed on its own (sha256 of its canonical JSON) and the hashes are added modulo 2^256, so the
order in which elements come does not matter. Scores computed from the graph, runs' own records and Neo4j's internal
ids do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.schema import CLAIMS, DERIVED, FORMER_CLAIMS, PRESENCE_LABELS, UNCLAIMED


@dataclass
class Digest:
    """Counts and the sum of element hashes."""

    nodes: int = 0
    edges: int = 0
    total: int = 0

    def add_node(self, labels: Iterable[str], properties: Mapping[str, Any]) -> None:
        """Count a node in."""
        self.nodes += 1
        self._add(["node", _asserted(labels), _canonical(properties)])

    def add_edge(
        self,
        head: tuple[Iterable[str], str],
        relation: str,
        tail: tuple[Iterable[str], str],
        properties: Mapping[str, Any],
    ) -> None:
        """Count an edge in; `head` and `tail` are (labels, key)."""
        self.edges += 1
        edge_ends = [_asserted(head[0]), head[1], relation, _asserted(tail[0]), tail[1]]
        self._add(["edge", *edge_ends, _canonical(properties)])

    def _add(self, element: list[Any]) -> None:
        element_json = json.dumps(element, ensure_ascii=True, separators=(",", ":"), default=str)
        element_hash = int.from_bytes(hashlib.sha256(element_json.encode()).digest(), "big")
        self.total = (self.total + element_hash) % (1 << 256)

    def __str__(self) -> str:
        return f"{self.nodes}-{self.edges}-{self.total:064x}"


def digest(graph: Graph) -> Digest:
    """The digest of the whole graph, read with flat memory."""
    graph_digest = Digest()
    for node in graph.stream(queries.get("export/digest_nodes")):
        graph_digest.add_node(node["labels"], node["properties"])
    for edge in graph.stream(queries.get("export/digest_edges")):
        head, tail = (edge["head_labels"], edge["head"]), (edge["tail_labels"], edge["tail"])
        graph_digest.add_edge(head, edge["relation"], tail, edge["properties"])
    return graph_digest


def _asserted(labels: Iterable[str]) -> list[str]:
    """The labels, in order, without those that repeat an entity's presence."""
    label_names = set(labels)
    return sorted(label_names - set(PRESENCE_LABELS.values()) if "Entity" in label_names else label_names)


def _canonical(properties: Mapping[str, Any]) -> list[list[Any]]:
    bookkeeping = ("runs", CLAIMS, FORMER_CLAIMS)
    counted_properties = {
        property_name: sorted(property_value) if property_name in bookkeeping else property_value
        for property_name, property_value in properties.items()
        if property_name not in DERIVED
    }
    if CLAIMS in counted_properties:  # digests are those of earlier versions
        counted_properties[FORMER_CLAIMS] = counted_properties.pop(CLAIMS)
    implied_claims = [
        f"{property_name}@{run_id}"
        for property_name in properties
        if property_name not in UNCLAIMED
        for run_id in properties.get("runs") or ()
    ]
    if (
        implied_claims and FORMER_CLAIMS not in counted_properties
    ):  # they are not stored where all runs claim all properties
        counted_properties[FORMER_CLAIMS] = sorted(implied_claims)
    return [[property_name, counted_properties[property_name]] for property_name in sorted(counted_properties)]
