// Closes the run of embeddings, unless it has been undone meanwhile.
// param run string: the run's id
// param rejected integer: images that could not be read
MATCH (r:Run {id: $run}) WHERE r.status IN ['running', 'done']
SET r.status = 'done', r.finished = datetime(), r.rows_rejected = $rejected, r.rows_read = r.rows_written + $rejected
