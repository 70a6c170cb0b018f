// The images of a concept with their NaF scores, and what the concept adds to each score: ln(images / images with that
// stance to that concept); with the attributes that reports state (side, severity …). The highest-scored come first.
// param concept string = "C0746459": the concept's CUI; if the graph lacks it, the concept with most positive images
// param limit integer = 50: how many images
MATCH (i:Image)
WITH count(i) AS images
MATCH (c:Concept)
WITH images, c ORDER BY c.cui = $concept DESC, COUNT { (c)<-[:POSITIVE]-() } DESC, c.cui
LIMIT 1
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
WITH images, c, type(r) AS stance, collect({image: i, attributes: [value IN [r.severity, r.side]
  + coalesce(r.location, []) + [r.change, r.acuity, r.certainty] WHERE value IS NOT NULL]}) AS shown
WITH c, stance, shown, log(toFloat(images) / size(shown)) AS adds
UNWIND shown AS row
WITH c, stance, adds, row.image AS i, row.attributes AS attributes
RETURN c.name AS concept, stance, i.id AS image, attributes, i.naf AS naf, adds, i.naf_rank AS rank, i.naf_kept AS kept
ORDER BY rank, image, stance
LIMIT $limit
