// The number of Concept nodes with an embedding of each model: null for those without, an empty text for embeddings
// that are not kgp embed's.
MATCH (n:Concept)
OPTIONAL MATCH (v:ConceptVector {cui: n.cui})
WITH n, CASE WHEN v.embedding_model IS NOT NULL THEN v.embedding_model WHEN v.embedding IS NOT NULL THEN '' END AS model
RETURN model, count(*) AS nodes, count(n.name) AS readable
