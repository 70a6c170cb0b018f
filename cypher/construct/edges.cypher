// What construction recorded about an image and a concept: each stance with its evidence and the runs that assert it.
// param image string: the image's id
// param concept string: the concept's CUI
MATCH (i:Image {id: $image})-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept {cui: $concept})
RETURN type(r) AS stance, c.name AS name, r.report AS report, coalesce(r.evidence, []) AS evidence,
  r.tagger AS tagger, r.judge AS judge, r.runs AS runs
ORDER BY stance
