// Images for which a model claims what the report rules out: the report's only stance to the concept is NEGATIVE, and the
// model saw the finding without the report, or claims of it what the report does not support. A triplet about a finding
// that the report denies is not a contradiction by itself: RadGraph also has triplets of absent findings. Where the
// report denies one side or a part alone ("no effusion on the left", "no large effusion"), the model must claim that.
// param model string = "": the model that generated; any when empty
// param limit integer = 100: how many pairs of an image and a finding
MATCH (i:Image)-[n:NEGATIVE]->(c:Concept)<-[r:REFERS_TO]-(e:Entity)<-[s:SHOWS]-(i)
WHERE s.model IS NOT NULL AND $model IN ['', s.model]
  AND (s.mode = 'image' OR EXISTS { (e)-[t:!REFERS_TO&!SHOWS {grounded: false}]-(:Entity) })
  AND NOT EXISTS { (i)-[:POSITIVE|UNCERTAIN]->(c) }
WITH i, n, c, r, e, s, CASE WHEN n.side IS NULL AND n.only IS NULL THEN [] ELSE COLLECT {
  MATCH (e)-[:LOCATED_AT]->{0,1}(:Entity)<-[:MODIFY]-{0,1}(described:Entity)
  UNWIND split(toLower(described.text), ' ') AS word
  RETURN DISTINCT word
} END AS words
WHERE NOT (coalesce(n.side, '') = 'left' AND 'right' IN words AND NOT 'left' IN words)
  AND NOT (coalesce(n.side, '') = 'right' AND 'left' IN words AND NOT 'right' IN words)
  AND (n.only IS NULL OR any(part IN n.only WHERE part IN words))
RETURN i.id AS image, c.cui AS cui, c.name AS concept, s.model AS model, s.mode AS mode,
  collect(DISTINCT e.text) AS seen, collect(DISTINCT e.presence) AS presence, max(r.score) AS link_score,
  [value IN [n.side] + coalesce(n.only, []) WHERE value IS NOT NULL] AS denied, n.evidence AS evidence
ORDER BY link_score DESC, image, cui, model
LIMIT $limit
