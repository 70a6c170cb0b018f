// Inventory of the UMLS relations: how many edges each has, between how many concepts, with an example.
// param limit integer = 300: how many relations
MATCH (a:Concept)-[r:!PREDICTED]->(b:Concept)
WITH type(r) AS relation, a, b ORDER BY a.cui, b.cui
WITH relation, count(*) AS edges, count(DISTINCT a) AS heads, count(DISTINCT b) AS tails, collect([a.name, b.name])[0] AS pair
RETURN relation, edges, heads, tails, pair[0] AS example_head, pair[1] AS example_tail
ORDER BY edges DESC, relation
LIMIT $limit
