// The names of relations that the graph has or had, to suggest for one that it lacks.
CALL db.relationshipTypes() YIELD relationshipType
RETURN relationshipType AS relation
