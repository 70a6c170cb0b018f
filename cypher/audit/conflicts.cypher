// Audit: pairs of an image and a concept with several stances, among all pairs that a stance joins.
// param examples integer = 5: how many to name
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
WITH i, c, count(DISTINCT type(r)) AS stances ORDER BY i.id, c.cui
WITH count(*) AS of, collect(CASE WHEN stances > 1 THEN i.id + ' ' + c.cui END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
