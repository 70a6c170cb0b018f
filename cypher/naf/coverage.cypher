// For each rank at which a concept is first covered, going down from the highest score: how many concepts are first
// covered there. Algorithm 1's cut-off is the last of these ranks.
MATCH (c:Concept)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(i:Image)
WITH c, min(i.naf_rank) AS first
RETURN first AS rank, count(*) AS concepts
ORDER BY rank
