// The nodes one edge away from batches of nodes, in either direction, along the edges that `export/edges` gives.
// param batches list: lists of internal ids of nodes
// param nodes list: internal ids of the nodes that count
// param relations list = null: the relations that count; null for all
// param without list: relations that do not count
// param run string = null: count only edges that this run asserts
UNWIND $batches AS batch
CALL (batch) {
  UNWIND batch AS node
  MATCH (h)-[r]-(t)
  WHERE id(h) = node AND id(t) IN $nodes
    AND NOT type(r) IN $without AND ($relations IS NULL OR type(r) IN $relations) AND ($run IS NULL OR $run IN r.runs)
  RETURN collect(DISTINCT id(t)) AS ids
}
RETURN ids
