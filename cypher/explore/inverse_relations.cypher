// Which relation runs back where a relation runs forth: UMLS states each pair both ways, mostly under inverse names.
// param relation string = "isa": the relation; the commonest one of the graph where it is absent
MATCH (:Concept)-[r:!PREDICTED]->(:Concept)
WITH type(r) AS relation, count(*) AS edges
ORDER BY relation = $relation DESC, edges DESC
LIMIT 1
MATCH (a:Concept)-[r:!PREDICTED]->(b:Concept) WHERE type(r) = relation
OPTIONAL MATCH (b)-[back:!PREDICTED]->(a)
RETURN relation, edges, type(back) AS back, count(*) AS pairs, toFloat(count(*)) / edges AS share
ORDER BY pairs DESC, back
