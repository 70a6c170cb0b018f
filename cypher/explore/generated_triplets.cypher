// The triplets that models generated from an image, with their scores and whether the report supports them (grounded is
// empty where there was no report). Presence is what the report says of head and tail: present, absent or uncertain;
// empty where it says nothing.
// param image string = "": the image's id; if the graph lacks it, the image with most generated entities
// param model string = "": the model that generated; any when empty
// param limit integer = 200: how many triplets
MATCH (i:Image)
WITH i ORDER BY i.id = $image DESC, COUNT { (i)-[s:SHOWS]->() WHERE s.model IS NOT NULL } DESC, i.id
LIMIT 1
MATCH (i)-[:SHOWS]->(h:Entity)-[r:LOCATED_AT|MODIFY|SUGGESTIVE_OF]->(t:Entity)
WHERE r.model IS NOT NULL AND $model IN ['', r.model]
RETURN DISTINCT i.id AS image, r.model AS model, h.text AS head, h.presence AS head_presence,
  toLower(type(r)) AS relation, t.text AS tail, t.presence AS tail_presence, r.score AS score, r.grounded AS grounded
ORDER BY model, score DESC, head, relation, tail
LIMIT $limit
