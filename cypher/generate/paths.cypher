// The images that have a path, to find the image that a file is. Pictures of no data set are known by what is in them.
// param none string: the data set of those
MATCH (i:Image)
WHERE i.path IS NOT NULL AND coalesce(i.dataset, '') <> $none
RETURN i.id AS id, i.path AS path
