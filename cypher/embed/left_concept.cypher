// The concepts with a name that have no embedding of this model.
// param model string: the first 16 digits of the model's hash
MATCH (n:Concept)
WHERE n.name IS NOT NULL AND NOT EXISTS { MATCH (v:ConceptVector {cui: n.cui}) WHERE v.embedding_model = $model }
RETURN n.cui AS key, toString(n.name) AS what
ORDER BY key
