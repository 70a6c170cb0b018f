// Marks runs of other models as undone if all of their embeddings have been replaced.
// param model string: the first 16 digits of the hash of the model that stays
MATCH (r:Run)
WHERE r.embedding_model <> $model AND r.status <> 'undone'
  AND NOT EXISTS { MATCH (v:ImageVector) WHERE v.embedding_model = r.embedding_model }
  AND NOT EXISTS { MATCH (v:ConceptVector) WHERE v.embedding_model = r.embedding_model }
SET r.status = 'undone', r.images = 0, r.concepts = 0
