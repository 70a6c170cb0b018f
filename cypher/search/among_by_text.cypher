// Some images, most similar to a text first; those without an embedding of the model are left out.
// param ids list: the images' ids
// param vector list: the text's embedding
// param model string: the first 16 digits of the model's hash
// param top integer: how many images
UNWIND $ids AS id
MATCH (v:ImageVector {id: id})
WHERE v.embedding_model = $model
WITH id, 2 * vector.similarity.cosine(v.embedding, $vector) - 1 AS similarity
ORDER BY similarity DESC, id
LIMIT $top
MATCH (i:Image {id: id})
RETURN i.id AS id, similarity, i.naf AS naf, i.path AS path,
       COLLECT { MATCH (i)-[:POSITIVE]->(c:Concept) RETURN coalesce(c.name, c.cui) AS name ORDER BY name } AS concepts
ORDER BY similarity DESC, id
