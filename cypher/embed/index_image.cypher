// Vector index on the embeddings of Image nodes: CALL db.index.vector.queryNodes('image_embedding', 10, $vector).
// param config map: the vectors' dimensions, the similarity, and how the index is built
CREATE VECTOR INDEX image_embedding IF NOT EXISTS FOR (n:Image) ON (n.embedding) OPTIONS {indexConfig: $config}
