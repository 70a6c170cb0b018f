// Audit: stances to concepts that are section headers of the report, among all stances.
// param names list = ["impression", "findings", "indication", "comparison", "technique", "history", "examination"]: headers
// param examples integer = 5: how many to name
MATCH (c:Concept) WHERE toLower(c.name) IN $names
WITH c, COUNT { (c)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) } AS edges WHERE edges > 0
WITH c, edges ORDER BY edges DESC, c.cui
WITH sum(edges) AS count, collect(c.cui + ' ' + c.name + ': ' + toString(edges)) AS found
RETURN count, COUNT { (:Image)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) } AS of, found[..$examples] AS examples
