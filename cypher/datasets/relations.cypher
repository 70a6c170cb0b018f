// Every relation between two concepts, for training; as triplets of keys.
MATCH (h:Concept)-[r]->(t:Concept)
RETURN h.cui AS head, type(r) AS relation, t.cui AS tail
ORDER BY head, relation, tail
