// Finds or creates the edges of a batch and records the run on them; claims as in `ingest/assert_nodes`. A plan made while the graph had no edges looks for
// each edge by scanning all of them, so the first batches of a load are planned again (docs/decisions/0002-edge-writes.md).
// param ids list: element ids of the batch's nodes
// param rows list: [index of head in ids, relation, index of tail in ids, properties]
// param run string: the run that asserts them
// param own list: names of properties that no run claims: keys, and the platform's own records
UNWIND $rows AS row
MATCH (h) WHERE elementId(h) = $ids[row[0]]
MATCH (t) WHERE elementId(t) = $ids[row[2]]
MERGE (h)-[r:$(row[1])]->(t)
ON CREATE SET r += row[3], r.runs = [$run]
WITH r, row[3] AS properties
WHERE NOT $run IN coalesce(r.runs, [])
   OR any(k IN keys(properties) WHERE r[k] IS NULL OR NOT k + '@' + $run IN coalesce(r.who_claims, [k + '@' + $run]))
WITH r, properties, coalesce(r.runs, []) AS runs, [k IN keys(r) WHERE NOT k IN $own] AS names
WITH r, properties, names, runs,
     CASE WHEN r.who_claims IS NOT NULL THEN r.who_claims
       ELSE reduce(all = [], x IN runs | all + [k IN names | k + '@' + x]) END AS claims
WITH r, properties, names, claims, CASE WHEN $run IN runs THEN runs ELSE runs + $run END AS runs,
     [k IN keys(properties) WHERE coalesce(r[k] = properties[k], true) AND NOT k + '@' + $run IN claims] AS new
WITH r, properties, runs, new, claims + [k IN new | k + '@' + $run] AS claims,
     size(names) + size([k IN new WHERE NOT k IN names]) AS names
FOREACH (k IN new | SET r[k] = properties[k])
SET r.runs = runs, r.who_claims = CASE WHEN size(claims) = names * size(runs) THEN null ELSE claims END
