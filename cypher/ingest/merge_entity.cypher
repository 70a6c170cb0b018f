// Finds or creates the Entity nodes of a batch, by key; a new one is asserted by the run at once.
// param rows list: [id, properties, the node's place in the batch], each key once
// param run string: the run that asserts them
UNWIND $rows AS row
MERGE (n:Entity {id: row[0]})
ON CREATE SET n += row[1], n.runs = [$run]
RETURN collect([row[2], elementId(n),
  $run IN coalesce(n.runs, []) AND all(k IN keys(row[1])
    WHERE n[k] IS NOT NULL AND k + '@' + $run IN coalesce(n.who_claims, [k + '@' + $run]))]) AS nodes
