// Finds or creates the Entity nodes of a batch, by key.
// param keys list: values of id, each once
UNWIND $keys AS key
MERGE (n:Entity {id: key})
RETURN key, elementId(n) AS id
