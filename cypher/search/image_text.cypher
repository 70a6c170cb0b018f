// The images whose embedding is most similar to a text's. The index, whose vectors are quantized, only proposes; the best
// of its candidates are ordered by the similarity of the full vectors. Embeddings of deleted images do not count.
// param vector list: the text's embedding
// param model string: the first 16 digits of the model's hash
// param asked integer: candidates to ask the index for: more find more of the nearest
// param top integer: how many images
CALL db.index.vector.queryNodes('image_embedding', $asked, $vector) YIELD node AS v, score
WHERE v.embedding_model = $model
MATCH (i:Image {id: v.id})
WITH i, v, score
ORDER BY score DESC, i.id
LIMIT 3 * $top
WITH i, 2 * vector.similarity.cosine(v.embedding, $vector) - 1 AS similarity
ORDER BY similarity DESC, i.id
LIMIT $top
RETURN i.id AS id, similarity, i.naf AS naf, i.path AS path,
       COLLECT { MATCH (i)-[:POSITIVE]->(c:Concept) RETURN coalesce(c.name, c.cui) AS name ORDER BY name } AS concepts
ORDER BY similarity DESC, id
