// Vector index on the embeddings of Image nodes: CALL db.index.vector.queryNodes('image_embedding', 10, $vector) YIELD node,
// then MATCH (n:Image {id: node.id}).
// param config map: the vectors' dimensions, the similarity, and how the index is built
CREATE VECTOR INDEX image_embedding IF NOT EXISTS FOR (v:ImageVector) ON (v.embedding) OPTIONS {indexConfig: $config}
