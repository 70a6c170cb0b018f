// Everything around a finding, to draw: the concepts that UMLS relates to it, and its highest-scored images by stance.
// param concept string = "C0004144": the finding's CUI; if the graph lacks it, the concept with most positive images
// param images integer = 5: how many images of each stance
// param concepts integer = 25: how many related concepts
MATCH (c:Concept)
WITH c ORDER BY c.cui = $concept DESC, COUNT { (c)<-[:POSITIVE]-() } DESC, c.cui
LIMIT 1
CALL (c) {
  UNWIND ['POSITIVE', 'NEGATIVE', 'UNCERTAIN'] AS stance
  CALL (c, stance) {
    MATCH path = (i:Image)-[r]->(c) WHERE type(r) = stance
    RETURN path ORDER BY i.naf_rank, i.id LIMIT $images
  }
  RETURN path
  UNION
  MATCH path = (c)-[:!PREDICTED]->(d:Concept)
  RETURN path ORDER BY d.cui LIMIT $concepts
}
RETURN path
