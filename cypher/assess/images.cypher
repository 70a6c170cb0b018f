// All images that have a stance to a concept, to draw a sample from.
MATCH (i:Image) WHERE EXISTS { (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) }
RETURN i.id AS id
ORDER BY id
