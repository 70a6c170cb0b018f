// Finds those nodes of a user's own graph in a batch that exist, by key.
// param keys list: values of id, each once
UNWIND $keys AS key
MATCH (n:Thing {id: key})
RETURN key, elementId(n) AS id
