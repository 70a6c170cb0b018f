// Finds those Concept nodes of a batch that exist, by key.
// param keys list: values of cui, each once
UNWIND $keys AS key
MATCH (n:Concept {cui: key})
RETURN key, elementId(n) AS id
