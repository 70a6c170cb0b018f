// Generated triplets that the report does not support, for review: the most certain first.
// param image string = "": the image's id; all images when empty
// param model string = "": the model that generated; any when empty
// param limit integer = 100: how many triplets
MATCH (i:Image)-[:SHOWS]->(h:Entity)-[r:LOCATED_AT|MODIFY|SUGGESTIVE_OF {grounded: false}]->(t:Entity)
WHERE $image IN ['', i.id] AND $model IN ['', r.model]
RETURN DISTINCT i.id AS image, r.model AS model, h.text AS head, h.presence AS head_presence,
  toLower(type(r)) AS relation, t.text AS tail, t.presence AS tail_presence, r.score AS score
ORDER BY score DESC, image, model, head, relation, tail
LIMIT $limit
