// Every edge with its ends and all that sources assert about it, for the graph's digest.
MATCH (h)-[r]->(t)
RETURN labels(h) AS head_labels, coalesce(h.cui, h.id) AS head, type(r) AS relation, labels(t) AS tail_labels,
       coalesce(t.cui, t.id) AS tail, properties(r) AS properties
