// Findings that images show together with a given one: how often, how much more often than by chance (lift), and the
// pointwise mutual information ln(lift). Over positive edges; images without any positive edge do not count.
// param concept string = "C0004144": the finding's CUI; if the graph lacks it, the concept with most positive images
// param at_least integer = 5: smallest number of shared images
// param limit integer = 25: how many findings
MATCH (i:Image) WHERE EXISTS { (i)-[:POSITIVE]->() }
WITH count(i) AS images
MATCH (a:Concept)
WITH images, a ORDER BY a.cui = $concept DESC, COUNT { (a)<-[:POSITIVE]-() } DESC, a.cui
LIMIT 1
MATCH (a)<-[:POSITIVE]-(i:Image)-[:POSITIVE]->(b:Concept) WHERE b <> a
WITH images, a, b, count(DISTINCT i) AS together WHERE together >= $at_least
WITH a, b, together, toFloat(together) * images / (COUNT { (a)<-[:POSITIVE]-() } * COUNT { (b)<-[:POSITIVE]-() }) AS lift
RETURN a.name AS finding, b.cui AS cui, b.name AS seen_with, together, lift, log(lift) AS pmi
ORDER BY together DESC, lift DESC, cui
LIMIT $limit
