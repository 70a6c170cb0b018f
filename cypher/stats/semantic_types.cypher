// How often each UMLS semantic type is at the head and at the tail of an edge (Figure 2 of the MedMKG paper), for
// concepts whose types are known.
// param limit integer = 10: how many types a side
CALL {
  MATCH (c:Concept)-[r]->(:Concept) WHERE c.semantic_types IS NOT NULL AND type(r) <> 'PREDICTED'
  UNWIND c.semantic_types AS semantic_type
  RETURN 'head' AS side, semantic_type
  UNION ALL
  MATCH ()-[r]->(c:Concept) WHERE c.semantic_types IS NOT NULL AND type(r) <> 'PREDICTED'
  UNWIND c.semantic_types AS semantic_type
  RETURN 'tail' AS side, semantic_type
}
WITH side, semantic_type, count(*) AS edges
ORDER BY edges DESC, semantic_type
WITH side, collect({semantic_type: semantic_type, edges: edges}) AS all, sum(edges) AS total
WITH side, total, all[..$limit] AS top, reduce(n = 0, x IN all[$limit..] | n + x.edges) AS others
UNWIND top + CASE WHEN others > 0 THEN [{semantic_type: 'Others', edges: others}] ELSE [] END AS share
RETURN side, share.semantic_type AS semantic_type, share.edges AS edges, 100.0 * share.edges / total AS percent
ORDER BY side, semantic_type = 'Others', edges DESC
