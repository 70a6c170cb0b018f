// Finds those Image nodes of a batch that exist, by key.
// param keys list: values of id, each once
UNWIND $keys AS key
MATCH (n:Image {id: key})
RETURN key, elementId(n) AS id
