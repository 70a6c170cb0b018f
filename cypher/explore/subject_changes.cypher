// Findings on which two images of the same subject differ: positive in one, negative in the other.
// param limit integer = 50: how many
MATCH (i:Image)-[:POSITIVE]->(c:Concept)<-[:NEGATIVE]-(j:Image)
WHERE i.subject_id = j.subject_id AND i <> j
RETURN i.subject_id AS subject, c.name AS finding, i.id AS positive_in, j.id AS negative_in
ORDER BY subject, finding, positive_in, negative_in
LIMIT $limit
