// All images that have a stance to a concept, with their paths, to draw a sample from.
MATCH (i:Image) WHERE EXISTS { (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) }
RETURN i.id AS id, coalesce(i.path, '') AS path
ORDER BY id
