// Opens the run of a load, or finds the existing one: the same files and parameters have the same run. An undone run
// starts again. It takes the lock of `ingest/lock` first.
// param run string: the run's id
// param extends boolean: open a finished run again, to extend it
// param properties map: kind, source, sha256, version, parameters
MERGE (p:Platform {id: 'kgplatform'})
SET p.writer = $run
WITH p
MERGE (r:Run {id: $run})
ON CREATE SET r += $properties, r.status = 'new'
WITH r, r.status AS was
FOREACH (_ IN CASE WHEN was IN ['new', 'undone'] THEN [1] ELSE [] END |
  SET r.status = 'running', r.started = datetime(), r.finished = null,
      r.rows_done = 0, r.rows_written = 0, r.rows_existing = 0, r.rows_enriched = 0, r.batch = null)
FOREACH (_ IN CASE WHEN was = 'done' AND $extends THEN [1] ELSE [] END | SET r.status = 'running', r.finished = null)
RETURN was, r.rows_done AS rows_done, r.rows_written AS rows_written, r.rows_existing AS rows_existing,
       r.rows_enriched AS rows_enriched
