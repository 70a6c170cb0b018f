// Conflicts: pairs of an image and a concept that are joined by two stances, with the attributes of each and the runs
// that asserted it. A left and a right finding are no conflict, nor are a finding and the denial of another part of it
// ("small effusion", "no large effusion").
// param limit integer = 100: how many pairs
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
WITH i, c, r ORDER BY type(r)
WITH i, c, collect(r) AS edges
WHERE any(a IN edges WHERE any(b IN edges WHERE type(a) < type(b)
  AND NOT coalesce(a.side, '') + ' ' + coalesce(b.side, '') IN ['left right', 'right left']
  AND (a.only IS NULL OR all(part IN [b.severity, b.acuity, b.change] WHERE part IS NULL)
    OR any(part IN [b.severity, b.acuity, b.change] WHERE coalesce(part, '') IN a.only))))
RETURN i.id AS image, c.cui AS cui, c.name AS concept, [r IN edges | type(r)] AS stances,
  [r IN edges | [value IN [r.severity, r.side] + coalesce(r.location, []) + [r.change, r.acuity, r.certainty]
    WHERE value IS NOT NULL]] AS attributes, [r IN edges | r.runs] AS runs
ORDER BY stances, image, cui
LIMIT $limit
