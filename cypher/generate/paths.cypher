// The images that have a path, to find the image that a file is.
MATCH (i:Image)
WHERE i.path IS NOT NULL
RETURN i.id AS id, i.path AS path
