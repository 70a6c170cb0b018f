// The internal ids of the nodes that a run asserts.
// param run string: the run's id
MATCH (n)
WHERE $run IN n.runs
RETURN id(n) AS id
