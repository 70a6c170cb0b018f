// The most connected concepts, with how many images and concepts they join. Predicted edges do not count.
// param limit integer = 10: how many
MATCH (c:Concept)
WITH c, COUNT { (c)--() } - COUNT { (c)-[:PREDICTED]-() } AS edges
ORDER BY edges DESC, c.cui
LIMIT $limit
RETURN c.cui AS cui, c.name AS concept, edges,
       COUNT { (:Image)-[:POSITIVE]->(c) } AS positive,
       COUNT { (:Image)-[:NEGATIVE]->(c) } AS negative,
       COUNT { (:Image)-[:UNCERTAIN]->(c) } AS uncertain,
       COUNT { (c)-[:!PREDICTED]-(:Concept) } AS concept_edges
