// Marks a run as being undone; from here on it can only be undone to the end. The NaF scores are then out of date, unless
// the run only predicted or embedded.
// param run string: the run's id
MATCH (r:Run {id: $run})
SET r.status = 'undoing'
WITH r WHERE r.kind <> 'prediction' AND r.embedding_model IS NULL
MATCH (p:Platform {id: 'kgplatform'})
SET p.naf_current = false
