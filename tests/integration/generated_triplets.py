"""What the generators of these tests see, and how it is asked for."""

from __future__ import annotations

from typing import Any

from kgplatform.graph import Graph
from kgplatform.queries import parse_query

CANARY = "zebrafinch"
EFFUSION, EDEMA = "C0032227", "C0034063"

TRIPLETS = parse_query(
    "t/t",
    "// Triplets.\nMATCH (i:Image)-[:SHOWS]->(h:Entity)-[r:!REFERS_TO]->(t:Entity) RETURN i.id AS i, h.text AS h, "
    "type(r) AS r, t.text AS t, r.grounded AS grounded, r.mode AS mode, r.score AS score, r.model AS model, "
    "size(r.runs) AS runs ORDER BY i, h, r, t",
)
ENTITIES = parse_query(
    "t/e",
    "// Entities.\nMATCH (i:Image)-[s:SHOWS]->(e:Entity) OPTIONAL MATCH (e)-[r:REFERS_TO]->(c:Concept) RETURN "
    "i.id AS i, e.text AS text, e.kind AS kind, e.presence AS presence, c.cui AS cui, r.stance AS stance, "
    "r.score AS score, r.method AS method, s.mode AS mode ORDER BY i, text",
)


def query_tuples(graph: Graph, query: Any) -> list[tuple[Any, ...]]:
    return [tuple(record.values()) for record in graph.read(query)]
