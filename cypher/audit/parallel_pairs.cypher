// Audit: ordered pairs of concepts (or of nodes of a user's own graph) that several relations join in one direction,
// among all pairs with an edge. Predicted edges do not count.
// param examples integer = 5: how many to name
MATCH (a:Concept|Thing)-[r:!PREDICTED]->(b:Concept|Thing)
WITH a, b, count(DISTINCT type(r)) AS relations
WITH coalesce(a.cui, a.id) + ' ' + coalesce(b.cui, b.id) AS pair, relations ORDER BY pair
WITH count(*) AS of, collect(CASE WHEN relations > 1 THEN pair END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
