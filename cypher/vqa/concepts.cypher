// The concepts that a question may name: those with a stance of an image, or a relation to another concept, by CUI, with
// their names, and how many such edges they have.
MATCH (c:Concept)
WHERE EXISTS { (c)--(:Image|Concept) }
RETURN c.cui AS cui, coalesce(c.name, c.cui) AS name, COUNT { (c)--(:Image|Concept) } AS edges
ORDER BY cui
