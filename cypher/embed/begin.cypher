// Opens the run of embeddings, or finds the existing one: a model has one run. An undone run starts again. Takes the
// lock of `ingest/lock` first.
// param run string: the run's id
// param properties map: kind, source, model, sha256, embedding_model, dimension, version, parameters
MERGE (p:Platform {id: 'kgplatform'})
SET p.writer = $run
WITH p
MERGE (r:Run {id: $run})
ON CREATE SET r += $properties, r.status = 'new'
WITH r, r.status AS was
FOREACH (_ IN CASE WHEN was IN ['new', 'undone'] THEN [1] ELSE [] END |
  SET r.started = datetime(), r.images = 0, r.concepts = 0, r.rows_written = 0)
FOREACH (_ IN CASE WHEN was = 'undoing' THEN [] ELSE [1] END | SET r.status = 'running', r.finished = null)
RETURN was
