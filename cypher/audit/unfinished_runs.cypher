// Audit: runs that were started but not finished, or whose undo was not finished, among all runs.
// param examples integer = 5: how many to name
MATCH (r:Run)
WITH r ORDER BY r.id
WITH count(*) AS of, collect(CASE WHEN NOT r.status IN ['done', 'undone'] THEN r.id + ' (' + r.status + ')' END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
