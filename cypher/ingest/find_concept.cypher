// Finds those Concept nodes of a batch that exist, by key.
// param rows list: [cui, …], each key once
UNWIND $rows AS row
MATCH (n:Concept {cui: row[0]})
RETURN collect([row[0], elementId(n), false]) AS nodes
