// What the undo of a run removes, and how much of what the run asserts stays, because another run also asserts it, or a node
// has edges of other runs.
// param run string: the run's id
MATCH (r:Run {id: $run})
CALL () {
  MATCH ()-[e]->() WHERE $run IN e.runs
  RETURN count(e) AS asserted_edges, sum(CASE WHEN all(x IN e.runs WHERE x = $run) THEN 1 ELSE 0 END) AS own_edges
}
CALL () {
  MATCH (n) WHERE $run IN n.runs
  WITH n, all(x IN n.runs WHERE x = $run)
       AND NOT EXISTS { (n)-[e:!PREDICTED]-() WHERE NOT all(x IN coalesce(e.runs, ['']) WHERE x = $run) } AS gone
  RETURN count(n) AS asserted_nodes, sum(CASE WHEN gone THEN 1 ELSE 0 END) AS nodes,
         sum(CASE WHEN gone AND n:Image THEN COUNT { MATCH (v:ImageVector {id: n.id}) WHERE NOT v:Thing }
                  WHEN gone AND n:Concept THEN COUNT { MATCH (v:ConceptVector {cui: n.cui}) WHERE NOT v:Thing }
                  ELSE 0 END) AS vectors
}
CALL () {
  MATCH (h)-[p:PREDICTED]->(t)
  WHERE NOT $run IN coalesce(p.runs, [])
    AND any(n IN [h, t] WHERE $run IN n.runs AND all(x IN n.runs WHERE x = $run)
      AND NOT EXISTS { (n)-[e:!PREDICTED]-() WHERE NOT all(x IN coalesce(e.runs, ['']) WHERE x = $run) })
  RETURN count(p) AS predictions
}
RETURN own_edges + predictions AS edges, nodes, asserted_edges - own_edges AS kept_edges, asserted_nodes - nodes AS kept_nodes,
       vectors + COUNT { MATCH (v:ImageVector|ConceptVector) WHERE v.embedding_model = r.embedding_model } AS embeddings
