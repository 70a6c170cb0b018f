// How many nodes each label has, and edges that are outside MedMKG's own (entities, own graphs, predictions).
MATCH (n)
WHERE NOT n:Run|Platform|ImageVector|ConceptVector
UNWIND labels(n) AS label
RETURN label, count(*) AS nodes
ORDER BY nodes DESC, label
