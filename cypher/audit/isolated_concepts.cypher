// Audit: concepts without an edge to another concept, among all concepts. Predicted edges do not count.
// param examples integer = 5: how many to name
MATCH (c:Concept)
WITH c, NOT EXISTS { (c)-[:!PREDICTED]-(d:Concept) WHERE d <> c } AS isolated ORDER BY c.cui
WITH count(*) AS of, collect(CASE WHEN isolated THEN c.cui + coalesce(' ' + c.name, '') END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
