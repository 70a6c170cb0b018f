// Some images, highest sum of the similarities of concepts near a text that they are POSITIVE for first, then by NaF.
// param ids list: the images' ids
// param near list: [CUI, similarity]
// param top integer: how many images
UNWIND $ids AS id
MATCH (i:Image {id: id})
WITH i, COLLECT {
  UNWIND $near AS row
  MATCH (i)-[:POSITIVE]->(:Concept {cui: row[0]})
  RETURN DISTINCT row
} AS rows
WITH i, round(reduce(total = 0.0, row IN rows | total + row[1]), 9) AS similarity, [row IN rows | row[0]] AS matched
ORDER BY similarity DESC, coalesce(i.naf, -1.0) DESC, i.id
LIMIT $top
RETURN i.id AS id, similarity, i.naf AS naf, i.path AS path, matched,
       COLLECT { MATCH (i)-[:POSITIVE]->(c:Concept) RETURN coalesce(c.name, c.cui) AS name ORDER BY name } AS concepts
ORDER BY similarity DESC, coalesce(naf, -1.0) DESC, id
