// The internal ids of the images and concepts that hold their embedding themselves, as earlier versions wrote it.
MATCH (n:Image|Concept)
WHERE n.embedding IS NOT NULL OR n.embedding_model IS NOT NULL
RETURN id(n) AS id
