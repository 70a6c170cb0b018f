// Predicted edges as a table, best rank first; known says whether the graph now has the predicted edge.
// param relation string = "": the predicted relation; any when empty
// param model string = "": the model that predicted; any when empty
// param limit integer = 100: how many edges
MATCH (h)-[p:PREDICTED]->(t)
WHERE $relation IN ['', p.relation] AND $model IN ['', p.model]
RETURN coalesce(h.cui, h.id) AS head, h.name AS head_name, p.relation AS relation, coalesce(t.cui, t.id) AS tail,
  t.name AS tail_name, p.score AS score, p.rank AS rank, p.model AS model,
  EXISTS { (h)-[f]->(t) WHERE type(f) = p.relation } AS known, p.runs AS runs
ORDER BY rank, score DESC, head, relation, tail, model
LIMIT $limit
