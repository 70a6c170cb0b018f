// Concepts without any UMLS relation, which link prediction cannot reach through other concepts; those with most images first.
// param limit integer = 50: how many concepts
MATCH (c:Concept) WHERE NOT EXISTS { (c)-[:!PREDICTED]-(:Concept) }
RETURN c.cui AS cui, c.name AS concept, COUNT { (c)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) } AS edges
ORDER BY edges DESC, cui
LIMIT $limit
