// The images with the highest NaF scores.
// param limit integer = 10: how many
MATCH (i:Image)
WHERE i.naf_rank <= $limit
RETURN i.id AS id, i.naf AS naf, i.naf_rank AS rank
ORDER BY rank
