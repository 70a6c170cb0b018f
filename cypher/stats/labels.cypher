// How many nodes each label has: also entities and nodes of a user's own graph, which the table of edges leaves out.
MATCH (n)
WHERE NOT n:Run|Platform|ImageVector|ConceptVector
UNWIND labels(n) AS label
RETURN label, count(*) AS nodes
ORDER BY nodes DESC, label
