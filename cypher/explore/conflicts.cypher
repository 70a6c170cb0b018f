// Conflicts: pairs of an image and a concept that are joined by two stances, with the runs that asserted each.
// param limit integer = 100: how many pairs
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
WITH i, c, r ORDER BY type(r)
WITH i, c, collect(type(r)) AS stances, collect(r.runs) AS runs WHERE size(stances) > 1
RETURN i.id AS image, c.cui AS cui, c.name AS concept, stances, runs
ORDER BY stances, image, cui
LIMIT $limit
