// Images that show one finding and rule out another: positive for the first, negative for the second.
// param with string = "C0004144": CUI of the finding that is present; else the concept with most positive images
// param without string = "C1253943": CUI of the finding that is ruled out; else the concept with most negative images
// param limit integer = 50: how many images
MATCH (a:Concept)
WITH a ORDER BY a.cui = $with DESC, COUNT { (a)<-[:POSITIVE]-() } DESC, a.cui
LIMIT 1
MATCH (b:Concept)
WITH a, b ORDER BY b.cui = $without DESC, COUNT { (b)<-[:NEGATIVE]-() } DESC, b.cui
LIMIT 1
MATCH (a)<-[:POSITIVE]-(i:Image)-[:NEGATIVE]->(b)
RETURN i.id AS image, i.naf AS naf, a.name AS shows, b.name AS rules_out
ORDER BY i.naf_rank, image
LIMIT $limit
