// Audit: stances to SNOMED qualifier values, which qualify a finding and are not findings themselves, among all stances.
// param examples integer = 5: how many to name
MATCH (c:Concept) WHERE toLower(c.name) ENDS WITH '(qualifier value)'
WITH c, COUNT { (c)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) } AS edges WHERE edges > 0
WITH c, edges ORDER BY edges DESC, c.cui
WITH sum(edges) AS count, collect(c.cui + ' ' + c.name + ': ' + toString(edges)) AS found
RETURN count, COUNT { (:Image)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) } AS of, found[..$examples] AS examples
