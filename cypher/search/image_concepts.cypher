// The images with a stance to all wanted concepts, and a POSITIVE one to none of some others, highest NaF score first.
// param wanted list: CUIs
// param stance string: POSITIVE, NEGATIVE or UNCERTAIN
// param without list: CUIs
// param top integer: how many images
CALL () {
  MATCH (c:Concept) WHERE c.cui IN $wanted
  WITH c, CASE $stance WHEN 'POSITIVE' THEN COUNT { (c)<-[:POSITIVE]-() }
                       WHEN 'NEGATIVE' THEN COUNT { (c)<-[:NEGATIVE]-() }
                       ELSE COUNT { (c)<-[:UNCERTAIN]-() } END AS joined
  ORDER BY joined, c.cui
  RETURN collect(c) AS wanted
}
CALL () {
  MATCH (c:Concept) WHERE c.cui IN $without
  RETURN collect(c) AS unwanted
}
WITH wanted, unwanted, wanted[0] AS first
CALL (first) {
  WITH * WHERE $stance = 'POSITIVE'
  MATCH (first)<-[:POSITIVE]-(i:Image)
  RETURN i
  UNION ALL
  WITH * WHERE $stance = 'NEGATIVE'
  MATCH (first)<-[:NEGATIVE]-(i:Image)
  RETURN i
  UNION ALL
  WITH * WHERE $stance = 'UNCERTAIN'
  MATCH (first)<-[:UNCERTAIN]-(i:Image)
  RETURN i
}
WITH i, wanted, unwanted
WHERE all(c IN wanted[1..] WHERE EXISTS { (i)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c) WHERE type(r) = $stance })
  AND none(c IN unwanted WHERE EXISTS { (i)-[:POSITIVE]->(c) })
WITH i
ORDER BY coalesce(i.naf, -1.0) DESC, i.id
LIMIT $top
RETURN i.id AS id, null AS similarity, i.naf AS naf, i.path AS path,
       COLLECT { MATCH (i)-[:POSITIVE]->(c:Concept) RETURN coalesce(c.name, c.cui) AS name ORDER BY name } AS concepts
ORDER BY coalesce(naf, -1.0) DESC, id
