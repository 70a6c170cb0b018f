// Which batch a run committed last: tells a loader whose connection broke during a commit whether it went through.
// param run string: the run's id
MATCH (r:Run {id: $run})
RETURN r.batch AS batch, r.batch_written AS written, r.batch_enriched AS enriched, r.status AS status
