// Findings of which a report denies a part alone ("no large effusion", "no acute fracture"), which does not rule out the
// finding: what is denied, and what else the report says of the finding.
// param concept string = "": the finding's CUI; all when empty
// param limit integer = 100: how many pairs of an image and a finding
MATCH (i:Image)-[n:NEGATIVE]->(c:Concept)
WHERE n.only IS NOT NULL AND $concept IN ['', c.cui]
RETURN i.id AS image, c.cui AS cui, c.name AS finding, n.only AS denied, n.side AS side, n.location AS location,
  COLLECT {
    MATCH (i)-[r:POSITIVE|UNCERTAIN]->(c)
    RETURN [type(r)] + [value IN [r.severity, r.side] + coalesce(r.location, []) + [r.change, r.acuity, r.certainty]
      WHERE value IS NOT NULL] AS edge
    ORDER BY type(r)
  } AS other_stances
ORDER BY i.naf_rank, image, cui
LIMIT $limit
