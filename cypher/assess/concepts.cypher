// All concepts that at least one image shows, to draw a sample from.
MATCH (c:Concept) WHERE EXISTS { (c)<-[:POSITIVE]-(:Image) }
RETURN c.cui AS id
ORDER BY id
