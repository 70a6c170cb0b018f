// Whether a run is on record.
// param run string: the run's id
MATCH (r:Run {id: $run})
RETURN r.id AS run
