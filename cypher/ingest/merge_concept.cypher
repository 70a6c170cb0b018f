// Finds or creates the Concept nodes of a batch, by key.
// param keys list: values of cui, each once
UNWIND $keys AS key
MERGE (n:Concept {cui: key})
RETURN key, elementId(n) AS id
