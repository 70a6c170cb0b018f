// Marks a run as being undone; from then on it can only be undone completely. The NaF scores are then out of date, unless
// the run only predicted or embedded. Takes the lock of `ingest/lock` first.
// param run string: the run's id
MERGE (p:Platform {id: 'kgplatform'})
SET p.writer = $run
WITH p
MATCH (r:Run {id: $run})
SET r.status = 'undoing'
WITH p, r WHERE r.kind <> 'prediction' AND r.embedding_model IS NULL
SET p.naf_current = false
