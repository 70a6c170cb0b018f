// Every load and generation, newest first, with what it did.
MATCH (r:Run)
RETURN r.id AS id, r.kind AS kind, r.source AS source, r.status AS status, r.rows_read AS read, r.rows_written AS written,
       r.rows_existing AS existing, r.rows_rejected AS rejected, toString(r.started) AS started,
       toString(r.finished) AS finished
ORDER BY r.started DESC, id
