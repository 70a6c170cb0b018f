// The pairs of concepts that a source calls the same, or maps one to the other.
MATCH (first:Concept)-[r:same_as|mapped_to]->(second:Concept)
RETURN DISTINCT type(r) AS relation, first.cui AS first, second.cui AS second
ORDER BY relation, first, second
