// The neighbourhood of concepts that questions name: the first edges of each, every kind (stance or relation, in each
// direction) once before any kind comes twice; within a kind, concepts with the fewest edges first, images by id. One call answers
// for many questions.
// param cuis list: CUIs, each once
// param cap integer: edges of each
// param images boolean: whether to include images, and so stances
UNWIND $cuis AS cui
MATCH (c:Concept {cui: cui})
CALL (c) {
  WITH * WHERE $images
  MATCH (i:Image)-[r:POSITIVE|UNCERTAIN|NEGATIVE]->(c)
  WITH type(r) AS kind, i
  ORDER BY i.id
  WITH kind, collect(i)[..$cap] AS those
  UNWIND range(0, size(those) - 1) AS turn
  RETURN turn, CASE kind WHEN 'POSITIVE' THEN 0 WHEN 'UNCERTAIN' THEN 1 ELSE 2 END AS place, kind, true AS back,
         those[turn].id AS key, those[turn].path AS named, true AS image
  UNION ALL
  MATCH (c)-[r]-(other:Concept)
  WITH r, startNode(r) <> c AS back, other, COUNT { (other)--(:Image|Concept) } AS edges
  ORDER BY edges, other.cui
  WITH type(r) AS kind, back, collect(other)[..$cap] AS those
  UNWIND range(0, size(those) - 1) AS turn
  RETURN turn, 3 AS place, kind, back, those[turn].cui AS key, those[turn].name AS named, false AS image
}
WITH c, turn, place, kind, back, image, key, named
ORDER BY c.cui, turn, place, kind, back
RETURN c.cui AS cui, coalesce(c.name, c.cui) AS name, collect([kind, back, image, key, named])[..$cap] AS edges
