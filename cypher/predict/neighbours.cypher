// Which stances the images have whose embedding is most similar to a new image's: what the graph knows of images like it.
// The index, whose vectors are quantized, only proposes; the best of its candidates are ordered by the similarity of the
// full vectors. Images without a stance, and the image itself, are no neighbours.
// param vector list: the new image's embedding
// param model string: the first 16 digits of the model's hash
// param id string: the new image's id
// param asked integer: candidates to ask the index for
// param top integer: how many images
CALL db.index.vector.queryNodes('image_embedding', $asked, $vector) YIELD node AS v, score
WHERE v.embedding_model = $model AND v.id <> $id
MATCH (i:Image {id: v.id})
WHERE EXISTS { (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) }
WITH i, v, score
ORDER BY score DESC, i.id
LIMIT 3 * $top
WITH i, 2 * vector.similarity.cosine(v.embedding, $vector) - 1 AS similarity
ORDER BY similarity DESC, i.id
LIMIT $top
RETURN i.id AS id, similarity,
       COLLECT {
         MATCH (i)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
         RETURN [type(r), c.cui, coalesce(c.name, c.cui)] AS stance
         ORDER BY stance[1], stance[0]
       } AS stances
ORDER BY similarity DESC, id
