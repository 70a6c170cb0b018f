// Marks a run as undone. Its record stays, so that the graph's history can be read.
// param run string: the run's id
MATCH (r:Run {id: $run})
SET r.status = 'undone', r.rows_done = 0, r.batch = null
