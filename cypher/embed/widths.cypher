// The most frequent dimension of the embeddings of images and of concepts.
MATCH (v:ImageVector|ConceptVector)
WHERE v.embedding_model IS NOT NULL AND v.embedding IS NOT NULL
WITH CASE WHEN v:ImageVector THEN 'image' ELSE 'concept' END AS part, size(v.embedding) AS width, count(*) AS nodes
ORDER BY nodes DESC
RETURN part, collect(width)[0] AS width
