// Marks a run as undone. Its record stays, so that the graph's history can be read. Predictions that are half written start
// again: those about deleted nodes were deleted with them. Takes the lock
// of `ingest/lock` first.
// param run string: the run's id
MERGE (l:Platform {id: 'kgplatform'})
SET l.writer = $run
WITH l
MATCH (r:Run {id: $run}) WHERE r.status = 'undoing'
SET r.status = 'undone', r.rows_done = 0, r.batch = null
WITH r WHERE r.kind <> 'prediction' AND r.embedding_model IS NULL
MATCH (p:Run {kind: 'prediction', status: 'running'})
SET p.rows_done = 0, p.rows_written = 0, p.rows_existing = 0
