// Those of the given relations that the graph has an edge of.
// param relations list: names of relations
UNWIND $relations AS relation
CALL (relation) {
  MATCH ()-[r:$(relation)]->()
  RETURN r LIMIT 1
}
RETURN relation
