// The NaF score and rank of one image.
// param image string: the image's id
MATCH (i:Image {id: $image})
RETURN i.id AS id, i.naf AS naf, i.naf_rank AS rank, i.naf_kept AS kept
