// The concepts that have a stance of an image, by CUI, with their semantic types; those without any are left out. It
// tells findings from parts of the body, which a report names whatever its image shows.
MATCH (c:Concept)
WHERE c.semantic_types IS NOT NULL AND EXISTS { (c)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) }
RETURN c.cui AS cui, c.semantic_types AS types
ORDER BY cui
