// The ids of the latest runs, to suggest for one that does not exist.
// param limit integer = 10000: how many
MATCH (r:Run)
RETURN r.id AS run
ORDER BY r.started DESC
LIMIT $limit
