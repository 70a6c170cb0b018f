// How many images there are of each modality and region of the body, and how many edges join them to concepts. Images
// whose source states neither have empty values.
// param limit integer = 100: how many kinds
MATCH (i:Image)
WITH i, COUNT { (i)-[:POSITIVE]->(:Concept) } AS shown, COUNT { (i)-[:NEGATIVE]->(:Concept) } AS absent,
  COUNT { (i)-[:UNCERTAIN]->(:Concept) } AS open
RETURN i.modality AS modality, i.region AS region, count(i) AS images, sum(shown) AS positive,
  sum(absent) AS negative, sum(open) AS uncertain
ORDER BY images DESC, modality, region
LIMIT $limit
