// The triplets of an image on which models agree: each triplet by its text, with the models that generated it.
// param image string = "": the image's id; if the graph lacks it, the image with most generated entities
// param limit integer = 200: how many triplets
MATCH (i:Image)
WITH i ORDER BY i.id = $image DESC, COUNT { (i)-[s:SHOWS]->() WHERE s.model IS NOT NULL } DESC, i.id
LIMIT 1
MATCH (i)-[:SHOWS]->(h:Entity)-[r:LOCATED_AT|MODIFY|SUGGESTIVE_OF]->(t:Entity)
WHERE r.model IS NOT NULL
WITH DISTINCT i, toLower(h.text) AS head, toLower(type(r)) AS relation, toLower(t.text) AS tail, r.model AS model
ORDER BY model
RETURN i.id AS image, head, relation, tail, count(*) AS agree, collect(model) AS models
ORDER BY agree DESC, head, relation, tail
LIMIT $limit
