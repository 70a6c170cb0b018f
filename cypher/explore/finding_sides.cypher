// On which side a finding is and how severe: how many images have it, by stance, side and severity. Empty where no report
// states it.
// param concept string = "C0032227": the finding's CUI; if the graph lacks it, the concept with most positive images
MATCH (c:Concept)
WITH c ORDER BY c.cui = $concept DESC, COUNT { (c)<-[:POSITIVE]-() } DESC, c.cui
LIMIT 1
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
RETURN c.name AS finding, type(r) AS stance, r.side AS side, r.severity AS severity, count(DISTINCT i) AS images
ORDER BY images DESC, stance, side, severity
