// Images in which a model sees a finding that the report rules out: the generated entity is present, and the stance to
// its concept is NEGATIVE alone.
// param model string = "": the model that generated; any when empty
// param unknown boolean = false: also findings of which the model does not say whether they are present
// param limit integer = 100: how many pairs of an image and a finding
MATCH (i:Image)-[n:NEGATIVE]->(c:Concept)<-[r:REFERS_TO]-(e:Entity)<-[s:SHOWS]-(i)
WHERE s.model IS NOT NULL AND $model IN ['', s.model]
  AND (r.stance = 'POSITIVE' OR ($unknown AND r.stance IS NULL))
  AND NOT EXISTS { (i)-[:POSITIVE|UNCERTAIN]->(c) }
RETURN i.id AS image, c.cui AS cui, c.name AS concept, s.model AS model, collect(DISTINCT e.text) AS seen,
  max(r.score) AS link_score, n.evidence AS evidence
ORDER BY link_score DESC, image, cui, model
LIMIT $limit
