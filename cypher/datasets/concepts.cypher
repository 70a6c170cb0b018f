// The concepts that have a stance of an image, or a relation to another concept, by CUI, with their names.
MATCH (c:Concept)
WHERE EXISTS { (c)--(:Image|Concept) }
RETURN c.cui AS cui, coalesce(c.name, c.cui) AS name
ORDER BY cui
