// Vector index on the embeddings of Concept nodes: CALL db.index.vector.queryNodes('concept_embedding', 10, $vector).
// param config map: the vectors' dimensions, the similarity, and how the index is built
CREATE VECTOR INDEX concept_embedding IF NOT EXISTS FOR (n:Concept) ON (n.embedding) OPTIONS {indexConfig: $config}
