// The edges from batches of nodes, one record for each relation in a batch, so that a record carries many edges.
// param batches list: lists of internal ids of heads
// param tails list = null: internal ids of the tails that count; null for all
// param relations list = null: the relations that count; null for all
// param without list: relations that do not count
// param run string = null: count only edges that this run asserts
UNWIND $batches AS batch
CALL (batch) {
  UNWIND batch AS head
  MATCH (h)-[r]->(t)
  WHERE id(h) = head AND (t:Image OR t:Concept OR t:Entity OR t:Thing) AND ($tails IS NULL OR id(t) IN $tails)
    AND NOT type(r) IN $without AND ($relations IS NULL OR type(r) IN $relations) AND ($run IS NULL OR $run IN r.runs)
  RETURN type(r) AS relation, collect(head) AS heads, collect(id(t)) AS tails
}
RETURN relation, heads, tails
