// The internal ids of the nodes with given keys, a list for each key; nodes of several kinds may share one.
// param keys list: CUIs and ids
UNWIND $keys AS key
OPTIONAL MATCH (i:Image {id: key})
OPTIONAL MATCH (c:Concept {cui: key})
OPTIONAL MATCH (e:Entity {id: key})
OPTIONAL MATCH (t:Thing {id: key})
RETURN collect([n IN [i, c, e, t] WHERE n IS NOT NULL | id(n)]) AS ids
