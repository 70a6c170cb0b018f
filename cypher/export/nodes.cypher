// What an export contains about nodes, one record for each kind in a batch. An entity's text comes from a report, so it is
// used as its name only on request.
// param batches list: lists of internal ids of nodes
// param texts boolean: give the text of entities as their name
UNWIND $batches AS batch
CALL (batch) {
  UNWIND batch AS id
  MATCH (n) WHERE id(n) = id
  RETURN CASE WHEN n:Image THEN 'Image' WHEN n:Concept THEN 'Concept' WHEN n:Entity THEN 'Entity' ELSE 'Thing' END
           AS kind,
         collect(id) AS ids,
         collect(coalesce(toStringOrNull(CASE WHEN n:Concept AND NOT n:Image THEN n.cui ELSE n.id END), '')) AS keys,
         collect(coalesce(toStringOrNull(
           CASE WHEN n:Image THEN null WHEN n:Concept THEN n.name WHEN NOT n:Entity THEN n.name WHEN $texts THEN n.text END
         ), '')) AS names,
         collect(CASE WHEN n:Image THEN coalesce(toStringOrNull(n.subject_id), '') ELSE '' END) AS subjects
}
RETURN kind, ids, keys, names, subjects
