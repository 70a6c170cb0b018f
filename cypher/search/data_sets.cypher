// How many images each data set has in the graph; an empty name for images without a data set.
MATCH (i:Image)
RETURN coalesce(i.dataset, '') AS dataset, count(*) AS images
ORDER BY dataset
