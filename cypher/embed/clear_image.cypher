// Deletes the embeddings of Image nodes by some models.
// param models list: the first 16 digits of each model's hash; an empty text for embeddings that are not kgp embed's
MATCH (v:ImageVector)
WHERE coalesce(v.embedding_model, '') IN $models
CALL (v) {
  DELETE v
} IN TRANSACTIONS OF 1000 ROWS
RETURN count(*) AS cleared
