// The images of a finding by the attributes that reports state: side, location, severity, size, change from the prior
// study, acuity, certainty. A left finding is one with the side left or bilateral. `only` is what alone is denied: large
// in "no large effusion".
// param concept string = "C0032227": the finding's CUI; if the graph lacks it, the concept with most positive images
// param stance string = "POSITIVE": POSITIVE, NEGATIVE or UNCERTAIN; any when empty
// param side string = "": left, right or bilateral; any when empty
// param location string = "": where, such as lower lobe or base; anywhere when empty
// param severity string = "": at least minimal, small, mild, moderate, large or severe, in this order; any when empty
// param change string = "": new, worse, better, unchanged or resolved; any when empty
// param acuity string = "": acute, subacute, chronic or old; any when empty
// param certainty string = "": of UNCERTAIN edges: likely, suspected, possible or unlikely; any when empty
// param limit integer = 100: how many images
MATCH (c:Concept)
WITH c ORDER BY c.cui = $concept DESC, COUNT { (c)<-[:POSITIVE]-() } DESC, c.cui
LIMIT 1
WITH c, ['minimal', 'small', 'mild', 'moderate', 'large', 'severe'] AS levels
WITH c, levels, [level IN range(0, 5) WHERE levels[level] = $severity][0] AS lowest
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
WHERE $stance IN ['', type(r)]
  AND ($side IN ['', r.side] OR $side IN ['left', 'right'] AND r.side = 'bilateral')
  AND ($location = '' OR $location IN r.location)
  AND ($severity = '' OR r.severity IN levels[lowest..])
  AND $change IN ['', r.change] AND $acuity IN ['', r.acuity] AND $certainty IN ['', r.certainty]
RETURN c.name AS finding, i.id AS image, i.naf AS naf, type(r) AS stance, r.side AS side, r.location AS location,
  r.severity AS severity, r.size_mm AS size_mm, r.change AS change, r.acuity AS acuity, r.certainty AS certainty,
  r.only AS only
ORDER BY i.naf_rank, image, stance
LIMIT $limit
