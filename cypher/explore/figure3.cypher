// The subgraph of the MedMKG paper's Figure 3: six findings, the isa relations between them (over at most two concepts
// in between), and the one image that shows most of them with all three stances. If a graph lacks the six, its six
// most connected concepts are used. UMLS direction: (a)-[:isa]->(b) reads "b is an a".
// param names list = ["fluid in the chest", "Widened mediastinum (finding)", "Mass of chest wall (finding)", "Mass of body region (finding)", "Collapse of lung (disorder)", "Lump (finding)"]: names of the findings
MATCH (c:Concept)
WITH c ORDER BY c.name IN $names DESC, COUNT { (c)--() } - COUNT { (c)-[:PREDICTED]-() } DESC, c.cui
LIMIT 6
WITH collect(c) AS found
WITH [c IN found WHERE c.name IN $names OR NOT found[0].name IN $names] AS findings
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept) WHERE c IN findings
WITH findings, i, count(DISTINCT type(r)) AS stances, count(DISTINCT c) AS shown
ORDER BY stances DESC, shown DESC, i.naf_rank, i.id
LIMIT 1
CALL (findings, i) {
  MATCH path = (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(c) WHERE c IN findings
  RETURN path
  UNION
  UNWIND findings AS a UNWIND findings AS b
  WITH a, b WHERE a.cui < b.cui
  MATCH path = (a)-[:isa]-{1,3}(b)
  RETURN path
}
RETURN path
