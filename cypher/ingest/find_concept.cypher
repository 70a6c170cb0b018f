// Finds those Concept nodes of a batch that exist, by key.
// param rows list: [cui, properties, the node's place in the batch], each key once
UNWIND $rows AS row
MATCH (n:Concept {cui: row[0]})
RETURN collect([row[2], elementId(n), false]) AS nodes
