// Takes the lock under which the platform writes, one transaction at a time, and returns the run's progress. It comes first
// in a transaction that reads and then adds to what it has read: no other platform process writes until it commits.
// param run string: the run that writes
MERGE (p:Platform {id: 'kgplatform'})
SET p.writer = $run
WITH p
OPTIONAL MATCH (r:Run {id: $run})
RETURN r.status AS status, r.rows_done AS rows_done, r.batch AS batch, r.batch_written AS written,
       r.batch_enriched AS enriched
