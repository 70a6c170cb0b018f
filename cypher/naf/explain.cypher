// What each (relation, concept) pair of an image adds to its NaF score, and how many images share the pair.
// param image string: the image's id
MATCH (m:Image)
WITH count(m) AS M
MATCH (i:Image {id: $image})-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
WITH M, type(r) AS relation, c
CALL (c, relation) {
  MATCH (o:Image)-[s:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
  WHERE type(s) = relation
  RETURN count(o) AS images
}
RETURN relation, c.cui AS cui, c.name AS concept, images, log(toFloat(M) / images) AS contribution
ORDER BY contribution DESC, relation, cui
