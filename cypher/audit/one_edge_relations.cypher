// Audit: relations with a single edge, among all relations. Predicted edges do not count.
// param examples integer = 5: how many to name
MATCH ()-[r:!PREDICTED]->()
WITH type(r) AS relation, count(*) AS edges ORDER BY relation
WITH count(*) AS of, collect(CASE WHEN edges = 1 THEN relation END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
