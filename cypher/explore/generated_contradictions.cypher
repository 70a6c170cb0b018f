// Images of which a model says what the report rules out: the report's stance to the concept is NEGATIVE alone, and the
// model saw the finding without the report, or says of it what the report does not support. That a model writes of a
// finding that the report denies is no contradiction by itself: RadGraph's triplets are of absent findings, too.
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
