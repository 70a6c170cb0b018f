// The models that have embedded something, newest first.
MATCH (r:Run)
WHERE r.embedding_model IS NOT NULL
RETURN r.id AS run, r.embedding_model AS model, r.model AS name, r.status AS status
ORDER BY r.started DESC, run
