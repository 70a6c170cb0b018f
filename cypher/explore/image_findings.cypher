// What is stated of an image: its concepts by stance, with the attributes of each finding.
// param image string = "I50978146": the image's id; if the graph lacks it, the image ranked first
MATCH (i:Image)
WITH i ORDER BY i.id = $image DESC, coalesce(i.naf_rank, 1000000000), i.id
LIMIT 1
MATCH (i)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
RETURN type(r) AS stance, c.cui AS cui, coalesce(c.name, c.cui) AS concept, r.side AS side, r.severity AS severity,
  r.size_mm AS size_mm, r.change AS change, r.acuity AS acuity, r.location AS location, r.certainty AS certainty,
  r.only AS only
ORDER BY CASE stance WHEN 'POSITIVE' THEN 0 WHEN 'UNCERTAIN' THEN 1 ELSE 2 END, concept
