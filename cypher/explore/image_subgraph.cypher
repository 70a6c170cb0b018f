// The subgraph of one image, to draw: its concepts by stance, and the UMLS relations between them.
// param image string = "I50978146": the image's id; if the graph lacks it, the image ranked first
MATCH (i:Image)
WITH i ORDER BY i.id = $image DESC, i.naf_rank, i.id
LIMIT 1
CALL (i) {
  MATCH path = (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept)
  RETURN path
  UNION
  MATCH (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(a:Concept)
  MATCH path = (a)-[:!PREDICTED]->(b:Concept) WHERE EXISTS { (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(b) }
  RETURN path
}
RETURN path
