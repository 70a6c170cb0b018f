// The images with a path that have no embedding of this model.
// param model string: the first 16 digits of the model's hash
MATCH (n:Image)
WHERE n.path IS NOT NULL AND NOT EXISTS { MATCH (v:ImageVector {id: n.id}) WHERE v.embedding_model = $model }
RETURN n.id AS key, toString(n.path) AS what
ORDER BY key
