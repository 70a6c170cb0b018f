// Finds those Image nodes of a batch that exist, by key.
// param rows list: [id, properties, the node's place in the batch], each key once
UNWIND $rows AS row
MATCH (n:Image {id: row[0]})
RETURN collect([row[2], elementId(n), false]) AS nodes
