// Finds or creates the edges of a batch and notes the run on them. A plan made while the graph had no edges looks for
// each edge by scanning all of them, so a load has its first batches planned anew (docs/decisions/0002-edge-writes.md).
// param ids list: element ids of the batch's nodes
// param rows list: [index of head in ids, relation, index of tail in ids, properties]
// param run string: the run that asserts them
UNWIND $rows AS row
MATCH (h) WHERE elementId(h) = $ids[row[0]]
MATCH (t) WHERE elementId(t) = $ids[row[2]]
MERGE (h)-[r:$(row[1])]->(t)
ON CREATE SET r.runs = [$run]
WITH r, row[3] AS properties
WHERE properties <> {} OR NOT $run IN coalesce(r.runs, [])
WITH r, properties,
     [k IN keys(properties)
      WHERE coalesce(r[k] = properties[k], true) AND NOT k + '@' + $run IN coalesce(r.claims, [])] AS new
FOREACH (k IN new | SET r[k] = properties[k])
FOREACH (_ IN CASE WHEN new = [] THEN [] ELSE [1] END |
  SET r.claims = coalesce(r.claims, []) + [k IN new | k + '@' + $run])
FOREACH (_ IN CASE WHEN $run IN coalesce(r.runs, []) THEN [] ELSE [1] END | SET r.runs = coalesce(r.runs, []) + $run)
