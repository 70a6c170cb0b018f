// Audit: concepts that exactly one image covers, among all concepts.
// param examples integer = 5: how many to name
MATCH (c:Concept)
OPTIONAL MATCH (c)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(i:Image)
WITH c, count(DISTINCT i) AS images ORDER BY c.cui
WITH count(*) AS of, collect(CASE WHEN images = 1 THEN c.cui + coalesce(' ' + c.name, '') END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
