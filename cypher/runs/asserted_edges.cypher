// The internal ids of the edges that a run asserts.
// param run string: the run's id
MATCH ()-[r]->()
WHERE $run IN r.runs
RETURN id(r) AS id
