// Some images, highest NaF score first.
// param ids list: the images' ids
// param top integer: how many images
UNWIND $ids AS id
MATCH (i:Image {id: id})
WITH i
ORDER BY coalesce(i.naf, -1.0) DESC, i.id
LIMIT $top
RETURN i.id AS id, null AS similarity, i.naf AS naf, i.path AS path,
       COLLECT { MATCH (i)-[:POSITIVE]->(c:Concept) RETURN coalesce(c.name, c.cui) AS name ORDER BY name } AS concepts
ORDER BY coalesce(naf, -1.0) DESC, id
