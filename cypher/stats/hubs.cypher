// The most connected concepts, with how many images and concepts they join.
// param limit integer = 10: how many
MATCH (c:Concept)
WITH c, COUNT { (c)--() } AS edges
ORDER BY edges DESC, c.cui
LIMIT $limit
RETURN c.cui AS cui, c.name AS concept, edges,
       COUNT { (:Image)-[:POSITIVE]->(c) } AS positive,
       COUNT { (:Image)-[:NEGATIVE]->(c) } AS negative,
       COUNT { (:Image)-[:UNCERTAIN]->(c) } AS uncertain,
       COUNT { (c)--(:Concept) } AS concept_edges
