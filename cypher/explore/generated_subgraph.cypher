// An image with what a generator saw in it, the linked concepts, and what the report says about them, to draw.
// param image string = "": the image's id; if the graph lacks it, the image with most generated entities
// param limit integer = 200: how many rows
MATCH (i:Image)
WITH i ORDER BY i.id = $image DESC, COUNT { (i)-[s:SHOWS]->() WHERE s.model IS NOT NULL } DESC, i.id
LIMIT 1
MATCH shown = (i)-[s:SHOWS]->(e:Entity)
WHERE s.model IS NOT NULL
OPTIONAL MATCH triplet = (e)-[:LOCATED_AT|MODIFY|SUGGESTIVE_OF]->(:Entity)
OPTIONAL MATCH meaning = (e)-[:REFERS_TO]->(c:Concept)
OPTIONAL MATCH stance = (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
RETURN shown, triplet, meaning, stance
LIMIT $limit
