// Writes embeddings of Image nodes as vectors of 32-bit numbers, for those that have none of this model yet. They are on
// separate nodes, so that `RETURN n` shows the image without hundreds of numbers (docs/decisions/0010-vector-nodes.md).
// param rows list: [id, vector], each key once
// param model string: the first 16 digits of the model's hash
UNWIND $rows AS row
MATCH (n:Image {id: row[0]})
MERGE (v:ImageVector {id: n.id})
WITH v, row
WHERE coalesce(v.embedding_model, '') <> $model
CALL db.create.setNodeVectorProperty(v, 'embedding', row[1])
SET v.embedding_model = $model
RETURN count(v) AS written
