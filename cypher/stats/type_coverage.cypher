// For how many edges the concept at the head, and at the tail, has a known semantic type: what `semantic_types` counts.
CALL () {
  MATCH (c:Concept)-[r]->(:Concept) WHERE type(r) <> 'PREDICTED'
  RETURN 'head' AS side, count(c.semantic_types) AS typed, count(*) AS edges
  UNION ALL
  MATCH ()-[r]->(c:Concept) WHERE type(r) <> 'PREDICTED'
  RETURN 'tail' AS side, count(c.semantic_types) AS typed, count(*) AS edges
}
RETURN side, typed, edges, CASE WHEN edges > 0 THEN 100.0 * typed / edges END AS percent
