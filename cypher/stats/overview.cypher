// Table 1 of the MedMKG paper for this graph, with the stances and the conflicting pairs (an image that has
// several stances on one concept, other than of a left and a right finding or of a finding and a part that is denied).
// Predicted edges do not count.
CALL { MATCH (c:Concept) RETURN count(c) AS concepts }
CALL { MATCH (i:Image) RETURN count(i) AS images }
CALL { MATCH (:Image)-[r:POSITIVE]->(:Concept) RETURN count(r) AS positive }
CALL { MATCH (:Image)-[r:NEGATIVE]->(:Concept) RETURN count(r) AS negative }
CALL { MATCH (:Image)-[r:UNCERTAIN]->(:Concept) RETURN count(r) AS uncertain }
CALL {
  MATCH (:Concept)-[r]->(:Concept) WHERE type(r) <> 'PREDICTED'
  RETURN count(r) AS intra_edges, count(DISTINCT type(r)) AS intra_relations
}
CALL {
  MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
  WITH i, c, collect(r) AS pair_edges
  WHERE any(a IN pair_edges WHERE any(b IN pair_edges WHERE type(a) < type(b)
    AND NOT coalesce(a.side, '') + ' ' + coalesce(b.side, '') IN ['left right', 'right left']
    AND (a.only IS NULL OR all(part IN [b.severity, b.acuity, b.change] WHERE part IS NULL)
      OR any(part IN [b.severity, b.acuity, b.change] WHERE coalesce(part, '') IN a.only))))
  RETURN count(*) AS conflicts
}
WITH *, positive + negative + uncertain AS cross_edges,
     size([n IN [positive, negative, uncertain] WHERE n > 0]) AS stance_relations
WITH *, cross_edges + intra_edges AS edges
RETURN edges, concepts, images, intra_relations + stance_relations AS relations, cross_edges, intra_edges,
       positive, negative, uncertain, conflicts,
       CASE WHEN concepts > 0 THEN round(toFloat(images) / concepts, 2) END AS image_concept_ratio,
       CASE WHEN images > 0 THEN round(toFloat(cross_edges) / images, 2) END AS edges_per_image,
       CASE WHEN concepts > 0 THEN round(toFloat(edges) / concepts, 2) END AS edges_per_concept
