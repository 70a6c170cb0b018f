// Closes the run of a load, unless it has been undone meanwhile.
// param run string: the run's id
// param rows_read integer: source rows read, rejected ones included
// param mapping_read integer: rows read that only complete nodes
// param rows_rejected integer: source rows rejected
MATCH (r:Run {id: $run})
WHERE r.status IN ['running', 'done']
SET r.status = 'done', r.finished = datetime(), r.rows_read = $rows_read, r.rows_rejected = $rows_rejected,
    r.mapping_read = $mapping_read
