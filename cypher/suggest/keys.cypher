// Ids of images and CUIs of concepts that begin with a text, to suggest for one that is not in the graph.
// param start string: how they begin
// param limit integer = 2000: how many of each
CALL () {
  MATCH (i:Image) WHERE i.id STARTS WITH $start
  RETURN i.id AS key LIMIT $limit
  UNION ALL
  MATCH (c:Concept) WHERE c.cui STARTS WITH $start
  RETURN c.cui AS key LIMIT $limit
}
RETURN key
