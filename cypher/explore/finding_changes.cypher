// What reports state of the change of findings from the prior study: new, worse, better, unchanged or resolved; for each
// finding and change how many images and subjects, and the best images.
// param subject string = "": the subject's id; all when empty
// param concept string = "": the finding's CUI; all when empty
// param change string = "": new, worse, better, unchanged or resolved; any when empty
// param examples integer = 5: how many images to name
// param limit integer = 100: how many rows
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
WHERE r.change IS NOT NULL AND $change IN ['', r.change] AND $concept IN ['', c.cui]
  AND ($subject = '' OR i.subject_id = $subject)
WITH i, c, type(r) AS stance, r.change AS change ORDER BY i.naf_rank, i.id
WITH c, stance, change, count(DISTINCT i) AS images, count(DISTINCT i.subject_id) AS subjects, collect(i.id) AS ids
RETURN c.cui AS cui, c.name AS finding, stance, change, images, subjects, ids[..$examples] AS best_images
ORDER BY images DESC, finding, cui, stance, change
LIMIT $limit
