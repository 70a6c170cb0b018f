// Takes the embeddings of some models off the Concept nodes.
// param models list: the first 16 digits of each model's hash; an empty text for embeddings that are not kgp embed's
MATCH (n:Concept)
WHERE n.embedding IS NOT NULL AND coalesce(n.embedding_model, '') IN $models
CALL (n) {
  SET n.embedding = null, n.embedding_model = null
} IN TRANSACTIONS OF 1000 ROWS
RETURN count(n) AS cleared
