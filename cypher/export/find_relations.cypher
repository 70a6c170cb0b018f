// The given relations of which the graph has an edge.
// param relations list: names of relations
UNWIND $relations AS relation
CALL (relation) {
  MATCH ()-[r:$(relation)]->()
  RETURN r LIMIT 1
}
RETURN relation
