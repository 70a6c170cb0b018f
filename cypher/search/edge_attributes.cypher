// What the edges to some findings state of them: for each finding and each combination of attributes the images, of which
// each has a stance to all wanted concepts, and a POSITIVE one to none of some others.
// param findings list: [number, CUIs, stance]
// param wanted list: CUIs
// param stance string: POSITIVE, NEGATIVE or UNCERTAIN
// param without list: CUIs
UNWIND $findings AS finding
UNWIND finding[1] AS cui
MATCH (c:Concept {cui: cui})<-[r:POSITIVE|NEGATIVE|UNCERTAIN]-(i:Image)
WHERE type(r) = finding[2]
  AND all(other IN $wanted WHERE EXISTS {
    (i)-[s:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept {cui: other}) WHERE type(s) = $stance })
  AND none(other IN $without WHERE EXISTS { (i)-[:POSITIVE]->(:Concept {cui: other}) })
RETURN finding[0] AS finding, cui, r.severity AS severity, r.side AS side, r.location AS location, r.change AS change,
  r.acuity AS acuity, collect(i.id) AS images
