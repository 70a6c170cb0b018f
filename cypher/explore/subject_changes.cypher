// Findings on which two images of the same subject differ: positive in one, negative in the other, with the attributes
// that reports state (side, severity, change …). A left and a right finding do not differ, nor do a finding and the denial
// of another part of it ("small effusion", "no large effusion").
// param limit integer = 50: how many
MATCH (i:Image)-[p:POSITIVE]->(c:Concept)<-[n:NEGATIVE]-(j:Image)
WHERE i.subject_id = j.subject_id AND i <> j
  AND NOT coalesce(p.side, '') + ' ' + coalesce(n.side, '') IN ['left right', 'right left']
  AND (n.only IS NULL OR all(part IN [p.severity, p.acuity, p.change] WHERE part IS NULL)
    OR any(part IN [p.severity, p.acuity, p.change] WHERE coalesce(part, '') IN n.only))
RETURN i.subject_id AS subject, c.name AS finding, i.id AS positive_in,
  [value IN [p.severity, p.side] + coalesce(p.location, []) + [p.change, p.acuity] WHERE value IS NOT NULL] AS attributes,
  j.id AS negative_in, coalesce(n.only, []) AS only
ORDER BY subject, finding, positive_in, negative_in
LIMIT $limit
