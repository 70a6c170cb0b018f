// The internal ids of the images and concepts that store their embedding themselves, as earlier versions did.
MATCH (n:Image|Concept)
WHERE n.embedding IS NOT NULL OR n.embedding_model IS NOT NULL
RETURN id(n) AS id
