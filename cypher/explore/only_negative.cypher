// Concepts that are always ruled out: no image is positive or uncertain for them.
// param limit integer = 50: how many concepts
MATCH (c:Concept)<-[:NEGATIVE]-(i:Image)
WHERE NOT EXISTS { (c)<-[:POSITIVE|UNCERTAIN]-(:Image) }
RETURN c.cui AS cui, c.name AS concept, count(i) AS images
ORDER BY images DESC, cui
LIMIT $limit
