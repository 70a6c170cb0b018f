// What patients had before, or their families, so their reports; which is no finding of the image. How many images, how
// many of these are positive for it, too, and the best images.
// param concept string = "": the CUI; all when empty
// param examples integer = 5: how many images to name
// param limit integer = 100: how many rows
MATCH (i:Image)-[r:HISTORY|FAMILY_HISTORY]->(c:Concept)
WHERE $concept IN ['', c.cui]
WITH i, c, type(r) AS history ORDER BY i.naf_rank, i.id
WITH c, history, collect(i) AS images
RETURN history, c.cui AS cui, c.name AS concept, size(images) AS images,
  size([i IN images WHERE EXISTS { (i)-[:POSITIVE]->(c) }]) AS positive, [i IN images | i.id][..$examples] AS best_images
ORDER BY images DESC, history, cui
LIMIT $limit
