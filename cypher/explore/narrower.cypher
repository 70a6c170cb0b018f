// The narrower concepts below a concept, by isa, with the images that show any of them: a finding together with its kinds.
// UMLS direction: (a)-[:isa]->(b) reads "b is an a".
// param concept string = "C0577559": the CUI on top; if the graph lacks it, the concept with most kinds
// param depth integer = 3: how many levels down (at most 5)
MATCH (top:Concept)
WITH top ORDER BY top.cui = $concept DESC, COUNT { (top)-[:isa]->() } DESC, top.cui
LIMIT 1
MATCH path = (top)-[:isa*0..5]->(kind:Concept) WHERE length(path) <= $depth
WITH top, kind, min(length(path)) AS level
RETURN top.name AS concept, level, kind.cui AS cui, kind.name AS narrower, COUNT { (kind)<-[:POSITIVE]-() } AS positive
ORDER BY level, positive DESC, cui
