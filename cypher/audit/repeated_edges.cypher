// Audit: edges that exist several times with the same head, relation and tail, among all such triplets. Loads never make
// them; other programs can. Predicted edges do not count.
// param examples integer = 5: how many to name
MATCH (h)-[r:!PREDICTED]->(t)
WITH h, type(r) AS relation, t, count(*) AS edges
WITH count(*) AS of,
  collect(CASE WHEN edges > 1 THEN coalesce(h.cui, h.id) + ' ' + relation + ' ' + coalesce(t.cui, t.id) END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
