// Concepts that exactly one image covers, with that image: the graph would lose them with it.
// param limit integer = 100: how many concepts
MATCH (c:Concept)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(i:Image)
WITH c, collect(DISTINCT i) AS images WHERE size(images) = 1
WITH c, images[0] AS i
RETURN c.cui AS cui, c.name AS concept, i.id AS image, i.naf AS naf
ORDER BY i.naf_rank, image, cui
LIMIT $limit
