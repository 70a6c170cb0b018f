// Records on the run, in the transaction that writes a batch, that the batch is written. It comes after `ingest/lock`, so that
// two loaders of the same run do not overwrite each other's progress.
// param run string: the run's id
// param batch string: names this attempt at this batch
// param rows_done integer: source rows done, this batch included
// param rows_written integer: rows of this batch whose edge was new
// param rows_existing integer: edges of this batch that already existed
// param rows_enriched integer: mapping rows of this batch that completed a node
MATCH (r:Run {id: $run})
SET r.batch = $batch,
    r.rows_done = CASE WHEN r.rows_done > $rows_done THEN r.rows_done ELSE $rows_done END,
    r.rows_written = r.rows_written + $rows_written,
    r.rows_existing = r.rows_existing + $rows_existing,
    r.rows_enriched = r.rows_enriched + $rows_enriched,
    r.batch_written = $rows_written,
    r.batch_enriched = $rows_enriched
