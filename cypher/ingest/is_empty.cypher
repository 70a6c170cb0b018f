// Whether the graph contains nothing that a source asserted.
RETURN NOT EXISTS { MATCH (n) WHERE NOT n:Run|Platform|ImageVector|ConceptVector } AS empty
