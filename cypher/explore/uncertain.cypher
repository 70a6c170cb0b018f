// Findings that reports most often leave uncertain: the share of uncertain stances among all of a concept's images.
// param at_least integer = 20: smallest number of images
// param limit integer = 25: how many concepts
MATCH (c:Concept)<-[r:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image)
WITH c, count(r) AS edges, count(CASE WHEN r:UNCERTAIN THEN 1 END) AS uncertain WHERE edges >= $at_least
RETURN c.cui AS cui, c.name AS concept, edges, uncertain, toFloat(uncertain) / edges AS share
ORDER BY share DESC, edges DESC, cui
LIMIT $limit
