// The concepts that have images and whose name is most similar to a text.
// param vector list: the text's embedding
// param model string: the first 16 digits of the model's hash
// param asked integer: candidates to ask the index for: many concepts have no image
// param top integer: how many concepts
CALL db.index.vector.queryNodes('concept_embedding', $asked, $vector) YIELD node AS v
WHERE v.embedding_model = $model
MATCH (c:Concept {cui: v.cui})
WHERE EXISTS { (c)<-[:POSITIVE]-(:Image) }
WITH c, 2 * vector.similarity.cosine(v.embedding, $vector) - 1 AS similarity
WHERE similarity > 0
RETURN c.cui AS cui, c.name AS name, similarity, COUNT { (c)<-[:POSITIVE]-() } AS images
ORDER BY similarity DESC, cui
LIMIT $top
