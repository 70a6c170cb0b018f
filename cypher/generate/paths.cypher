// The images that have a path, to find the image that a file is. Pictures of no data set are known by what is in them.
// param dataset string: the name under which pictures of no data set stand
MATCH (i:Image)
WHERE i.path IS NOT NULL AND coalesce(i.dataset, '') <> $dataset
RETURN i.id AS id, i.path AS path
