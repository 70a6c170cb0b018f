// Finds those Concept nodes of a batch that exist, by key.
// param rows list: [cui, …], each key once
UNWIND $rows AS row
MATCH (n:Concept {cui: row[0]})
RETURN row[0] AS key, elementId(n) AS id, false AS asserted
