// Finds or creates the nodes of a user's own graph. A key is "Type:identifier"; the type, which ingest has checked
// against schema.LABEL, becomes a second label. A new node is asserted by the run at once.
// param rows list: [id, properties, the node's place in the batch], each key once
// param run string: the run that asserts them
UNWIND $rows AS row
MERGE (n:Thing {id: row[0]})
ON CREATE SET n:$(split(row[0], ':')[0]), n += row[1], n.runs = [$run]
RETURN collect([row[2], elementId(n),
  $run IN coalesce(n.runs, []) AND all(k IN keys(row[1])
    WHERE n[k] IS NOT NULL AND k + '@' + $run IN coalesce(n.who_claims, [k + '@' + $run]))]) AS nodes
