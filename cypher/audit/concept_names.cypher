// Audit: the concepts with their names, semantic types and numbers of edges, to compare their meanings.
MATCH (c:Concept) WHERE c.name IS NOT NULL
RETURN c.cui AS cui, c.name AS name, coalesce(c.semantic_types, []) AS types, COUNT { (c)-[:!PREDICTED]-() } AS edges
ORDER BY cui
