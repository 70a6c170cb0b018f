// Finds those Entity nodes of a batch that exist, by key.
// param rows list: [id, …], each key once
UNWIND $rows AS row
MATCH (n:Entity {id: row[0]})
RETURN row[0] AS key, elementId(n) AS id, false AS asserted
