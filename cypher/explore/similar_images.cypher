// Images most like a given one: the share of positive concepts that two images have in common (Jaccard index).
// param image string = "I50978146": the image's id; if the graph lacks it, the image ranked first
// param limit integer = 20: how many images
MATCH (i:Image)
WITH i ORDER BY i.id = $image DESC, i.naf_rank, i.id
LIMIT 1
MATCH (i)-[:POSITIVE]->(c:Concept)<-[:POSITIVE]-(j:Image) WHERE j <> i
WITH i, j, count(DISTINCT c) AS shared, collect(c.name) AS names
WITH i, j, shared, names, COUNT { (i)-[:POSITIVE]->() } + COUNT { (j)-[:POSITIVE]->() } - shared AS either
RETURN i.id AS image, j.id AS like, toFloat(shared) / either AS jaccard, shared, names[..5] AS concepts
ORDER BY jaccard DESC, shared DESC, like
LIMIT $limit
