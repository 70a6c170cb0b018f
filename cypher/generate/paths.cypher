// The images that have a path, to find the image of a file. Images without a data set are recognised by their content.
// param dataset string: the name used for images without a data set
MATCH (i:Image)
WHERE i.path IS NOT NULL AND coalesce(i.dataset, '') <> $dataset
RETURN i.id AS id, i.path AS path
