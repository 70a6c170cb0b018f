// The images that are POSITIVE for concepts near a text, highest sum of these concepts' similarities first, then by NaF.
// The images can also be required to have a stance to all wanted concepts, and a POSITIVE one to none of some others.
// param near list: [CUI, similarity]
// param wanted list: CUIs
// param stance string: POSITIVE, NEGATIVE or UNCERTAIN
// param without list: CUIs
// param top integer: how many images
CALL () {
  MATCH (c:Concept) WHERE c.cui IN $wanted
  RETURN collect(c) AS wanted
}
CALL () {
  MATCH (c:Concept) WHERE c.cui IN $without
  RETURN collect(c) AS unwanted
}
UNWIND $near AS row
MATCH (n:Concept {cui: row[0]})<-[:POSITIVE]-(i:Image)
WITH i, wanted, unwanted, round(sum(row[1]), 9) AS similarity, collect(row[0]) AS matched
WHERE all(c IN wanted WHERE EXISTS { (i)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c) WHERE type(r) = $stance })
  AND none(c IN unwanted WHERE EXISTS { (i)-[:POSITIVE]->(c) })
WITH i, similarity, matched
ORDER BY similarity DESC, coalesce(i.naf, -1.0) DESC, i.id
LIMIT $top
RETURN i.id AS id, similarity, i.naf AS naf, i.path AS path, matched,
       COLLECT { MATCH (i)-[:POSITIVE]->(c:Concept) RETURN coalesce(c.name, c.cui) AS name ORDER BY name } AS concepts
ORDER BY similarity DESC, coalesce(naf, -1.0) DESC, id
