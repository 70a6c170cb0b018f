// The number of Image nodes with an embedding of each model: null for those without, an empty text for embeddings
// that are not kgp embed's.
MATCH (n:Image)
OPTIONAL MATCH (v:ImageVector {id: n.id})
WITH n, CASE WHEN v.embedding_model IS NOT NULL THEN v.embedding_model WHEN v.embedding IS NOT NULL THEN '' END AS model
RETURN model, count(*) AS nodes, count(n.path) AS readable
