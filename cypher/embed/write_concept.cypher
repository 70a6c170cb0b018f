// Writes embeddings of Concept nodes as vectors of 32-bit numbers, for those that have none of this model yet. They are on
// separate nodes, so that `RETURN n` shows the concept without hundreds of numbers (docs/decisions/0010-vector-nodes.md).
// param rows list: [cui, vector], each key once
// param model string: the first 16 digits of the model's hash
UNWIND $rows AS row
MATCH (n:Concept {cui: row[0]})
MERGE (v:ConceptVector {cui: n.cui})
WITH v, row
WHERE coalesce(v.embedding_model, '') <> $model
CALL db.create.setNodeVectorProperty(v, 'embedding', row[1])
SET v.embedding_model = $model
RETURN count(v) AS written
