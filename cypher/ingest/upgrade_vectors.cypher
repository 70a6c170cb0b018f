// Moves the embeddings of some images and concepts to separate nodes.
// param ids list: internal ids of nodes
UNWIND $ids AS id
MATCH (n) WHERE id(n) = id
CALL (n) {
  WITH * WHERE n:Image AND n.embedding IS NOT NULL
  MERGE (v:ImageVector {id: n.id})
  SET v.embedding = n.embedding, v.embedding_model = n.embedding_model
}
CALL (n) {
  WITH * WHERE n:Concept AND n.embedding IS NOT NULL
  MERGE (v:ConceptVector {cui: n.cui})
  SET v.embedding = n.embedding, v.embedding_model = n.embedding_model
}
SET n.embedding = null, n.embedding_model = null
