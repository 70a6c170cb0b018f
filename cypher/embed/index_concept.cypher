// Vector index on the embeddings of Concept nodes: CALL db.index.vector.queryNodes('concept_embedding', 10, $vector) YIELD node,
// then MATCH (n:Concept {cui: node.cui}).
// param config map: the vectors' dimensions, the similarity, and how the index is built
CREATE VECTOR INDEX concept_embedding IF NOT EXISTS FOR (v:ConceptVector) ON (v.embedding) OPTIONS {indexConfig: $config}
