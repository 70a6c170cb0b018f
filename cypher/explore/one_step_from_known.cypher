// Generated findings that the report does not name, one UMLS relation away from a concept that it does name: likely the
// same finding in other words, or a broader or narrower one.
// param image string = "": the image's id; all images when empty
// param model string = "": the model that generated; any when empty
// param limit integer = 100: how many pairs of a finding and a known concept
MATCH (i:Image)-[s:SHOWS]->(e:Entity)-[:REFERS_TO]->(c:Concept)
WHERE s.model IS NOT NULL AND $model IN ['', s.model] AND $image IN ['', i.id]
  AND coalesce(e.kind, 'Observation') = 'Observation'
  AND NOT EXISTS { (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(c) }
MATCH (c)-[r:!PREDICTED]-(known:Concept)<-[said:POSITIVE|NEGATIVE|UNCERTAIN]-(i)
WITH i, s.model AS model, c, known, type(said) AS stance,
  CASE WHEN startNode(r) = c THEN type(r) + ' →' ELSE '← ' + type(r) END AS step
ORDER BY step
RETURN i.id AS image, model, c.cui AS cui, c.name AS generated, collect(DISTINCT step) AS relations,
  known.cui AS known_cui, known.name AS known, stance
ORDER BY image, model, cui, known_cui, stance
LIMIT $limit
