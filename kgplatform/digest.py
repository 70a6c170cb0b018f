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
        ends = [_asserted(head[0]), head[1], relation, _asserted(tail[0]), tail[1]]
        self._add(["edge", *ends, _canonical(properties)])

    def _add(self, element: list[Any]) -> None:
        text = json.dumps(element, ensure_ascii=True, separators=(",", ":"), default=str)
        value = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
        self.total = (self.total + value) % (1 << 256)

    def __str__(self) -> str:
        return f"{self.nodes}-{self.edges}-{self.total:064x}"


def digest(graph: Graph) -> Digest:
    """The digest of the whole graph, read with flat memory."""
    result = Digest()
    for node in graph.stream(queries.get("export/digest_nodes")):
        result.add_node(node["labels"], node["properties"])
    for edge in graph.stream(queries.get("export/digest_edges")):
        head, tail = (edge["head_labels"], edge["head"]), (edge["tail_labels"], edge["tail"])
        result.add_edge(head, edge["relation"], tail, edge["properties"])
    return result


def _asserted(labels: Iterable[str]) -> list[str]:
    """The labels, in order, without those that repeat an entity's presence."""
    names = set(labels)
    return sorted(names - set(PRESENCE_LABELS.values()) if "Entity" in names else names)


def _canonical(properties: Mapping[str, Any]) -> list[list[Any]]:
    notes = ("runs", CLAIMS, FORMER_CLAIMS)
    kept = {k: sorted(v) if k in notes else v for k, v in properties.items() if k not in DERIVED}
    if CLAIMS in kept:  # digests are those of earlier versions
        kept[FORMER_CLAIMS] = kept.pop(CLAIMS)
    implied = [f"{name}@{run}" for name in properties if name not in UNCLAIMED for run in properties.get("runs") or ()]
    if implied and FORMER_CLAIMS not in kept:  # they go without saying where all runs claim all properties
        kept[FORMER_CLAIMS] = sorted(implied)
    return [[k, kept[k]] for k in sorted(kept)]
