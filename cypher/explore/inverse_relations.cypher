// Which relations are the inverse of a relation: UMLS states each pair in both directions, mostly under inverse names.
// param relation string = "isa": the relation; if the graph lacks it, its most common one
MATCH (:Concept)-[r:!PREDICTED]->(:Concept)
WITH type(r) AS relation, count(*) AS edges
ORDER BY relation = $relation DESC, edges DESC
LIMIT 1
MATCH (a:Concept)-[r:!PREDICTED]->(b:Concept) WHERE type(r) = relation
OPTIONAL MATCH (b)-[back:!PREDICTED]->(a)
RETURN relation, edges, type(back) AS back, count(*) AS pairs, toFloat(count(*)) / edges AS share
ORDER BY pairs DESC, back
