// Finds or creates the Image nodes of a batch, by key.
// param keys list: values of id, each once
UNWIND $keys AS key
MERGE (n:Image {id: key})
RETURN key, elementId(n) AS id
