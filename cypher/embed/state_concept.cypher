// How many Concept nodes have an embedding of which model: null for those without, an empty text for embeddings that are not
// kgp embed's.
MATCH (n:Concept)
WITH CASE WHEN n.embedding_model IS NOT NULL THEN n.embedding_model WHEN n.embedding IS NOT NULL THEN '' END AS model, n
RETURN model, count(*) AS nodes, count(n.name) AS readable
