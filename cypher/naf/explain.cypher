// What each (relation, concept) pair of an image adds to its NaF score, and how many images share the pair. Conflicting
// stances count as they did when the scores were computed.
// param image string: the image's id
OPTIONAL MATCH (p:Platform {id: 'kgplatform'})
WITH coalesce(p.naf_one_stance, false) AS one_stance
MATCH (m:Image) WHERE EXISTS { (m)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) }
WITH one_stance, count(m) AS M
MATCH (i:Image {id: $image})-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
WHERE NOT one_stance
   OR type(r) = 'POSITIVE'
   OR NOT EXISTS { (i)-[:POSITIVE]->(c) } AND (type(r) = 'UNCERTAIN' OR NOT EXISTS { (i)-[:UNCERTAIN]->(c) })
WITH one_stance, M, type(r) AS relation, c
CALL (c, relation, one_stance) {
  MATCH (o:Image)-[s:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
  WHERE type(s) = relation
    AND (NOT one_stance
         OR relation = 'POSITIVE'
         OR NOT EXISTS { (o)-[:POSITIVE]->(c) }
            AND (relation = 'UNCERTAIN' OR NOT EXISTS { (o)-[:UNCERTAIN]->(c) }))
  RETURN count(o) AS images
}
RETURN relation, c.cui AS cui, c.name AS concept, images, log(toFloat(M) / images) AS contribution
ORDER BY contribution DESC, relation, cui
