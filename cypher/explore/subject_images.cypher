// The images of one subject (patient), study by study, with the findings each shows.
// param subject string = "": the subject's id; the subject with most images when empty
MATCH (i:Image) WHERE i.subject_id IS NOT NULL AND $subject IN ['', i.subject_id]
WITH i.subject_id AS subject, collect(i) AS images
ORDER BY size(images) DESC, subject
LIMIT 1
UNWIND images AS i
OPTIONAL MATCH (i)-[:POSITIVE]->(c:Concept)
WITH subject, i, c ORDER BY c.name
RETURN subject, i.study_id AS study, i.id AS image, i.naf AS naf, collect(c.name) AS shows
ORDER BY study, image
