// Shortest paths between two findings over UMLS relations, whatever their direction and name.
// param from string = "C0746459": CUI of the first finding; else the concept with most positive images
// param to string = "C0004144": CUI of the second finding; else the concept with most negative images
// param limit integer = 10: how many paths
MATCH (a:Concept)
WITH a ORDER BY a.cui = $from DESC, COUNT { (a)<-[:POSITIVE]-() } DESC, a.cui
LIMIT 1
MATCH (b:Concept) WHERE b <> a
WITH a, b ORDER BY b.cui = $to DESC, COUNT { (b)<-[:NEGATIVE]-() } DESC, b.cui
LIMIT 1
MATCH path = ALL SHORTEST (a) (()-[:!PREDICTED]-(:Concept)){1,6} (b)
RETURN path, length(path) AS steps, [c IN nodes(path) | c.name] AS names
ORDER BY names
LIMIT $limit
