// NaF(m) = sum over the (relation, concept) pairs of image m of ln(M / |N(r,c)|), M the number of images that have such
// a pair (an image that a generator has processed may have none) and N(r,c) the images that relation r joins to concept c
// (MedMKG §3.4); written to naf, with the rank in naf_rank. Terms are added
// in ascending order of |N(r,c)|, so that images with the same terms have the same score to the last bit; images whose
// scores agree to 1e-9 are ranked by ascending id. An image without pairs scores 0.
// param one_stance boolean: where an image has several stances on a concept, count the strongest only (POSITIVE, then UNCERTAIN, then NEGATIVE)
CALL () {
  MATCH (i:Image) WHERE EXISTS { (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) }
  WITH count(i) AS M
  MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
  WHERE NOT $one_stance
     OR type(r) = 'POSITIVE'
     OR NOT EXISTS { (i)-[:POSITIVE]->(c) } AND (type(r) = 'UNCERTAIN' OR NOT EXISTS { (i)-[:UNCERTAIN]->(c) })
  WITH M, type(r) AS relation, c, collect(i) AS images
  WITH size(images) AS n, log(toFloat(M) / size(images)) AS term, images
  ORDER BY n
  UNWIND images AS i
  RETURN i, sum(term) AS naf
  UNION ALL
  MATCH (i:Image) WHERE NOT EXISTS { (i)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept) }
  RETURN i, 0.0 AS naf
}
WITH i, naf
ORDER BY round(naf, 9) DESC, i.id
WITH collect(i) AS images, collect(naf) AS scores
FOREACH (k IN range(0, size(images) - 1) |
  SET (images[k]).naf = scores[k], (images[k]).naf_rank = k + 1)
RETURN size(images) AS images
