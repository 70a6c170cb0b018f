// Writes embeddings of Image nodes as vectors of 32-bit numbers, for those that have none of this model yet.
// param rows list: [id, vector], each key once
// param model string: the first 16 digits of the model's hash
UNWIND $rows AS row
MATCH (n:Image {id: row[0]})
WHERE coalesce(n.embedding_model, '') <> $model
CALL db.create.setNodeVectorProperty(n, 'embedding', row[1])
SET n.embedding_model = $model
RETURN count(n) AS written
