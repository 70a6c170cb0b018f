// What each model saw in an image next to what its report says: the concepts of generated entities and those of stances.
// What a model saw without the report counts as POSITIVE; the stance of an entity that was written with the report is
// the report's stance, and so is its presence. The verdict: agree, differ (in stance), no stance (of the entity), only seen, or only said.
// param image string = "": the image's id; if the graph lacks it, the image with most generated entities
// param model string = "": the model that generated; any when empty
// param limit integer = 200: how many rows
MATCH (i:Image)
WITH i ORDER BY i.id = $image DESC, COUNT { (i)-[s:SHOWS]->() WHERE s.model IS NOT NULL } DESC, i.id
LIMIT 1
MATCH (i)-[s:SHOWS]->() WHERE s.model IS NOT NULL AND $model IN ['', s.model]
WITH DISTINCT i, s.model AS model
CALL (i, model) {
  MATCH (i)-[s:SHOWS {model: model}]->(e:Entity)-[r:REFERS_TO]->(c:Concept)
  RETURN c, true AS named, coalesce(r.stance, CASE s.mode WHEN 'image' THEN 'POSITIVE' END) AS seen, null AS said,
    e.presence AS presence
  UNION ALL
  MATCH (i)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
  RETURN c, false AS named, null AS seen, type(r) AS said, null AS presence
}
WITH i, model, c, named, seen, said, presence ORDER BY seen, said, presence
WITH i, model, c, collect(named) AS named, collect(DISTINCT seen) AS seen, collect(DISTINCT said) AS said,
  collect(DISTINCT presence) AS presence
RETURN i.id AS image, model, c.cui AS cui, c.name AS concept, seen, presence, said, CASE
  WHEN said = [] THEN 'only seen'
  WHEN NOT true IN named THEN 'only said'
  WHEN seen = [] THEN 'no stance'
  WHEN any(stance IN seen WHERE stance IN said) THEN 'agree'
  ELSE 'differ'
END AS verdict
ORDER BY model, verdict, cui
LIMIT $limit
