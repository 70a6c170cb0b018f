// The internal ids of the images that NaF kept.
MATCH (i:Image)
WHERE i.naf_kept
RETURN collect(id(i)) AS ids
