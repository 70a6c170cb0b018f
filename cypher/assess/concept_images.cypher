// The images that show these concepts, for a rater.
// param ids list: the concepts' CUIs
MATCH (c:Concept)<-[:POSITIVE]-(i:Image) WHERE c.cui IN $ids
RETURN c.cui AS cui, coalesce(c.name, c.cui) AS concept, coalesce(c.definition, '') AS definition,
  coalesce(c.semantic_types, []) AS types, i.id AS image, i.path AS path
ORDER BY cui, image
