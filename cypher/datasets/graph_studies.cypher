// The studies and subjects of the graph's images by data set: retrieval models may not be trained or tested on them.
MATCH (i:Image)
WHERE i.dataset IS NOT NULL AND (i.study_id IS NOT NULL OR i.subject_id IS NOT NULL)
RETURN DISTINCT i.dataset AS dataset, i.study_id AS study, i.subject_id AS subject
