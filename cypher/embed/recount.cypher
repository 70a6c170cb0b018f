// Sets the counts of the runs of embeddings to the vectors that exist. An undone run keeps its counts. Takes the lock of
// `ingest/lock` first.
MERGE (p:Platform {id: 'kgplatform'})
SET p.writer = 'recount'
WITH p
MATCH (r:Run) WHERE r.embedding_model IS NOT NULL AND r.status IN ['running', 'done']
WITH r, COUNT { MATCH (v:ImageVector) WHERE v.embedding_model = r.embedding_model } AS images,
     COUNT { MATCH (v:ConceptVector) WHERE v.embedding_model = r.embedding_model } AS concepts
WHERE r.images <> images OR r.concepts <> concepts
SET r.images = images, r.concepts = concepts, r.rows_written = images + concepts,
    r.rows_read = images + concepts + r.rows_rejected
