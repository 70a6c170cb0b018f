// The images of a concept with their NaF scores, and what the concept adds to each score: ln(images / images with that
// stance to that concept). The highest-scored come first.
// param concept string = "C0746459": the concept's CUI; if the graph lacks it, the concept with most positive images
// param limit integer = 50: how many images
MATCH (i:Image)
WITH count(i) AS images
MATCH (c:Concept)
WITH images, c ORDER BY c.cui = $concept DESC, COUNT { (c)<-[:POSITIVE]-() } DESC, c.cui
LIMIT 1
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
WITH images, c, type(r) AS stance, collect(i) AS shown
WITH c, stance, shown, log(toFloat(images) / size(shown)) AS adds
UNWIND shown AS i
RETURN c.name AS concept, stance, i.id AS image, i.naf AS naf, adds, i.naf_rank AS rank, i.naf_kept AS kept
ORDER BY rank, image, stance
LIMIT $limit
