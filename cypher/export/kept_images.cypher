// The kept images with their paths, in the columns of the released image mapping.
MATCH (i:Image)
WHERE i.naf_kept AND i.path IS NOT NULL
RETURN i.id AS id, i.path AS path
ORDER BY i.naf_rank
