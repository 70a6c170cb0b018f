// Audit: pairs of an image and a concept with several stances, among all pairs that a stance joins. A left and a right
// finding are no conflict, nor are a finding and the denial of another part of it ("small effusion", "no large
// effusion").
// param examples integer = 5: how many to name
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
WITH i, c, collect(r) AS edges
WITH i, c, any(a IN edges WHERE any(b IN edges WHERE type(a) < type(b)
  AND NOT coalesce(a.side, '') + ' ' + coalesce(b.side, '') IN ['left right', 'right left']
  AND (a.only IS NULL OR all(part IN [b.severity, b.acuity, b.change] WHERE part IS NULL)
    OR any(part IN [b.severity, b.acuity, b.change] WHERE coalesce(part, '') IN a.only)))) AS conflict
ORDER BY i.id, c.cui
WITH count(*) AS of, collect(CASE WHEN conflict THEN i.id + ' ' + c.cui END) AS found
RETURN size(found) AS count, of, found[..$examples] AS examples
