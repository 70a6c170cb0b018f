// What these images show according to the graph, for a rater: their concepts with stance and definition (or semantic types).
// param ids list: the images' ids
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept) WHERE i.id IN $ids
RETURN i.id AS image, i.path AS path, c.cui AS cui, coalesce(c.name, c.cui) AS concept, type(r) AS relation,
  coalesce(c.definition, '') AS definition, coalesce(c.semantic_types, []) AS types
ORDER BY image, concept, cui, relation
