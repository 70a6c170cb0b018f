// Audit: ordered pairs of concepts (or of nodes of a user's own graph) with an edge both ways, among all pairs with an
// edge. Predicted edges do not count.
// param examples integer = 5: how many to name
MATCH (a:Concept|Thing)-[:!PREDICTED]->(b:Concept|Thing) WHERE a <> b
WITH DISTINCT a, b
WITH coalesce(a.cui, a.id) + ' ' + coalesce(b.cui, b.id) AS pair, EXISTS { (b)-[:!PREDICTED]->(a) } AS both ORDER BY pair
WITH count(*) AS of, collect(CASE WHEN both THEN pair END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
