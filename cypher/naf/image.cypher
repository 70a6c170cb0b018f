// The NaF score and rank of one image, and whether the scores are up to date.
// param image string: the image's id
MATCH (i:Image {id: $image})
OPTIONAL MATCH (p:Platform {id: 'kgplatform'})
RETURN i.id AS id, i.naf AS naf, i.naf_rank AS rank, i.naf_kept AS kept, coalesce(p.naf_current, false) AS current
