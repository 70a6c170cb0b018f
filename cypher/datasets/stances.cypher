// Every stance of an image to a concept, for training; as triplets of keys.
MATCH (i:Image)-[r:POSITIVE|UNCERTAIN|NEGATIVE]->(c:Concept)
RETURN i.id AS image, type(r) AS stance, c.cui AS cui
ORDER BY image, cui, stance
