// The images of a finding by stance, modality and region of the body.
// param concept string = "C0032285": the finding's CUI; if the graph lacks it, the concept with most positive images
// param modality string = "": the modality, such as XR, CT, MR or US; any when empty
// param limit integer = 100: how many rows
MATCH (c:Concept)
WITH c ORDER BY c.cui = $concept DESC, COUNT { (c)<-[:POSITIVE]-() } DESC, c.cui
LIMIT 1
MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c)
WHERE $modality IN ['', i.modality]
RETURN c.name AS finding, type(r) AS stance, i.modality AS modality, i.region AS region, count(i) AS images
ORDER BY images DESC, stance, modality, region
LIMIT $limit
