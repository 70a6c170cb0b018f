// The images of one subject (patient), study by study, with the findings each shows; `described` has those of
// which the report states more (side, severity, change …).
// param subject string = "": the subject's id; the subject with most images when empty
MATCH (i:Image) WHERE i.subject_id IS NOT NULL AND $subject IN ['', i.subject_id]
WITH i.subject_id AS subject, collect(i) AS images
ORDER BY size(images) DESC, subject
LIMIT 1
UNWIND images AS i
OPTIONAL MATCH (i)-[r:POSITIVE]->(c:Concept)
WITH subject, i, r, c ORDER BY c.name
WITH subject, i, collect(c.name) AS shows, collect([c.name, [value IN [r.severity, r.side] + coalesce(r.location, [])
  + [r.change, r.acuity] WHERE value IS NOT NULL]]) AS described
RETURN subject, i.study_id AS study, i.id AS image, i.naf AS naf, shows,
  [finding IN described WHERE finding[1] <> []] AS described
ORDER BY study, image
