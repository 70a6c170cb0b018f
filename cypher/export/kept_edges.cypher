// The filtered graph in the columns of the released MedMKG: kept images with their stances, and all relations between
// concepts.
CALL {
  MATCH (h:Concept)-[r]->(t:Concept) WHERE type(r) <> 'PREDICTED'
  RETURN h.cui AS head, type(r) AS relation, t.cui AS tail, h.name AS head_name, t.name AS tail_name
  UNION ALL
  MATCH (h:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(t:Concept) WHERE h.naf_kept
  RETURN h.id AS head, type(r) AS relation, t.cui AS tail, 'Image_' + h.id AS head_name, t.name AS tail_name
}
RETURN head, relation, tail, head_name, tail_name
ORDER BY head, relation, tail
