// Finds those Image nodes of a batch that exist, by key.
// param rows list: [id, …], each key once
UNWIND $rows AS row
MATCH (n:Image {id: row[0]})
RETURN collect([row[0], elementId(n), false]) AS nodes
