// How many nodes each label has: also of entities and of own graphs, which the edges above leave out.
MATCH (n)
WHERE NOT n:Run|Platform|ImageVector|ConceptVector
UNWIND labels(n) AS label
RETURN label, count(*) AS nodes
ORDER BY nodes DESC, label
