// Images for which a model claims what the report rules out: the report's only stance to the concept is NEGATIVE, and the
// model saw the finding without the report, or claims of it what the report does not support. A triplet about a finding
// that the report denies is not a contradiction by itself: RadGraph also has triplets of absent findings.
// param model string = "": the model that generated; any when empty
// param limit integer = 100: how many pairs of an image and a finding
MATCH (i:Image)-[n:NEGATIVE]->(c:Concept)<-[r:REFERS_TO]-(e:Entity)<-[s:SHOWS]-(i)
WHERE s.model IS NOT NULL AND $model IN ['', s.model]
  AND (s.mode = 'image' OR EXISTS { (e)-[t:!REFERS_TO&!SHOWS {grounded: false}]-(:Entity) })
  AND NOT EXISTS { (i)-[:POSITIVE|UNCERTAIN]->(c) }
RETURN i.id AS image, c.cui AS cui, c.name AS concept, s.model AS model, s.mode AS mode,
  collect(DISTINCT e.text) AS seen, collect(DISTINCT e.presence) AS presence, max(r.score) AS link_score, n.evidence AS evidence
ORDER BY link_score DESC, image, cui, model
LIMIT $limit
