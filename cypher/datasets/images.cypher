// The images that knowledge is read from: those with a stance to a concept, by id, with their paths.
MATCH (i:Image)
WHERE EXISTS { (i)-[:POSITIVE|UNCERTAIN|NEGATIVE]->(:Concept) }
RETURN i.id AS id, i.path AS path, i.dataset AS dataset, i.study_id AS study, i.subject_id AS subject
ORDER BY id
