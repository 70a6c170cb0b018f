// The neighbours of a finding among the images: for each stance how many images, how many on which side where reports
// state it, their mean NaF score and the best ones.
// param concept string = "C0032285": the finding's CUI; if the graph lacks it, the concept with most positive images
// param examples integer = 5: how many images to name
MATCH (c:Concept)
WITH c ORDER BY c.cui = $concept DESC, COUNT { (c)<-[:POSITIVE]-() } DESC, c.cui
LIMIT 1
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
WITH c, type(r) AS stance, r.side AS side, i ORDER BY i.naf_rank, i.id
WITH c, stance, count(i) AS images, count(CASE side WHEN 'left' THEN 1 END) AS left,
  count(CASE side WHEN 'right' THEN 1 END) AS right, count(CASE side WHEN 'bilateral' THEN 1 END) AS bilateral,
  avg(i.naf) AS mean_naf, collect(i.id) AS ids
RETURN c.name AS finding, stance, images, left, right, bilateral, mean_naf, ids[..$examples] AS best_images
ORDER BY images DESC
