// Every node with all that sources assert about it, for the graph's digest.
MATCH (n)
WHERE NOT n:Run|Platform|ImageVector|ConceptVector
RETURN labels(n) AS labels, properties(n) AS properties
