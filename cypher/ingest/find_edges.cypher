// Which edges of a batch exist: for a dry run.
// param ids list: element ids of the batch's nodes
// param rows list: [index of head in ids, relation, index of tail in ids, position in the batch]
UNWIND $rows AS row
MATCH (h) WHERE elementId(h) = $ids[row[0]]
MATCH (t) WHERE elementId(t) = $ids[row[2]]
MATCH (h)-[r]->(t) WHERE type(r) = row[1]
RETURN row[3] AS position
