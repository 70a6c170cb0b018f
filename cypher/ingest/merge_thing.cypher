// Finds or creates the nodes of a user's own graph. A key is "Type:identifier"; the type, which the loader has
// checked against schema.LABEL, becomes a second label.
// param keys list: values of id, each once
UNWIND $keys AS key
MERGE (n:Thing {id: key})
ON CREATE SET n:$(split(key, ':')[0])
RETURN key, elementId(n) AS id
