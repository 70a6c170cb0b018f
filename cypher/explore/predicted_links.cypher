// Predicted edges, to draw: the best-ranked ones, the known edges that join their heads and tails (over at most one node
// in between), and some known edges of each end. Empty where no model has predicted.
// param relation string = "": the predicted relation; any when empty
// param model string = "": the model that predicted; any when empty
// param limit integer = 10: how many predicted edges
// param around integer = 5: how many known edges to draw between the two ends, and at each end
MATCH (h)-[p:PREDICTED]->(t)
WHERE $relation IN ['', p.relation] AND $model IN ['', p.model]
WITH h, p, t ORDER BY p.rank, p.score DESC, coalesce(h.cui, h.id), coalesce(t.cui, t.id), p.relation, p.model
LIMIT $limit
CALL (h, p, t) {
  MATCH path = (h)-[r:PREDICTED]->(t) WHERE r = p
  RETURN path
  UNION
  MATCH path = (h)-[:!PREDICTED]-{1,2}(t)
  RETURN path ORDER BY length(path), [n IN nodes(path) | coalesce(n.cui, n.id)] LIMIT $around
  UNION
  UNWIND [h, t] AS end
  CALL (end) {
    MATCH path = (end)-[:!PREDICTED]-(n)
    RETURN path ORDER BY coalesce(n.cui, n.id) LIMIT $around
  }
  RETURN path
}
RETURN path
