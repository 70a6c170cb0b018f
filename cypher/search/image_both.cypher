// The images with a stance to all wanted concepts, and a POSITIVE one to none of some others, most similar to a text
// first. Where the wanted concept with the fewest images has few, all of these are compared with the text, so none is
// missed. Where it has many, the index returns so many candidates that enough should be left, if these are fewer than
// the concept's images; if too few of them are left, all are compared.
// param vector list: the text's embedding
// param model string: the first 16 digits of the model's hash
// param wanted list: CUIs
// param stance string: POSITIVE, NEGATIVE or UNCERTAIN
// param without list: CUIs
// param compared integer: up to this many images, all of them are compared with the text
// param asked integer: candidates to ask the index for, if there were no conditions
// param spare integer: how many more that fulfil them, for each image to be found, if they were independent of the text
// param top integer: how many images
CALL () {
  MATCH (i:Image)
  RETURN count(i) AS images
}
CALL () {
  MATCH (c:Concept) WHERE c.cui IN $wanted
  WITH c, CASE $stance WHEN 'POSITIVE' THEN COUNT { (c)<-[:POSITIVE]-() }
                       WHEN 'NEGATIVE' THEN COUNT { (c)<-[:NEGATIVE]-() }
                       ELSE COUNT { (c)<-[:UNCERTAIN]-() } END AS joined
  ORDER BY joined, c.cui
  RETURN collect(c) AS wanted, min(joined) AS fewest
}
CALL () {
  MATCH (c:Concept) WHERE c.cui IN $without
  RETURN collect(c) AS unwanted
}
WITH wanted, unwanted, images, CASE WHEN wanted = [] THEN images ELSE fewest END AS fewest
WITH wanted, unwanted, fewest, $asked + toInteger(ceil(toFloat(images) / (fewest + 1) * $spare * $top)) AS enough
CALL (wanted, unwanted, fewest, enough) {
  WITH * WHERE fewest > $compared AND enough < fewest
  CALL db.index.vector.queryNodes('image_embedding', enough, $vector) YIELD node AS v, score
  WHERE v.embedding_model = $model
  MATCH (i:Image {id: v.id})
  WHERE all(c IN wanted WHERE EXISTS { (i)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c) WHERE type(r) = $stance })
    AND none(c IN unwanted WHERE EXISTS { (i)-[:POSITIVE]->(c) })
  WITH i, score
  ORDER BY score DESC, i.id
  LIMIT 3 * $top
  RETURN collect(i) AS near
}
CALL (wanted, unwanted, near) {
  WITH * WHERE size(near) < $top
  CALL (wanted) {
    WITH * WHERE wanted = []
    MATCH (i:Image)
    RETURN i
    UNION ALL
    WITH * WHERE $stance = 'POSITIVE'
    WITH wanted[0] AS c WHERE c IS NOT NULL
    MATCH (c)<-[:POSITIVE]-(i:Image)
    RETURN i
    UNION ALL
    WITH * WHERE $stance = 'NEGATIVE'
    WITH wanted[0] AS c WHERE c IS NOT NULL
    MATCH (c)<-[:NEGATIVE]-(i:Image)
    RETURN i
    UNION ALL
    WITH * WHERE $stance = 'UNCERTAIN'
    WITH wanted[0] AS c WHERE c IS NOT NULL
    MATCH (c)<-[:UNCERTAIN]-(i:Image)
    RETURN i
  }
  WITH i, wanted, unwanted
  WHERE all(c IN wanted[1..] WHERE EXISTS { (i)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c) WHERE type(r) = $stance })
    AND none(c IN unwanted WHERE EXISTS { (i)-[:POSITIVE]->(c) })
  RETURN collect(i) AS all
}
WITH CASE WHEN size(near) < $top THEN all ELSE near END AS found, size(near) >= $top AS by_index
UNWIND found AS i
MATCH (v:ImageVector {id: i.id})
WHERE v.embedding_model = $model
WITH i, by_index, 2 * vector.similarity.cosine(v.embedding, $vector) - 1 AS similarity
ORDER BY similarity DESC, i.id
LIMIT $top
RETURN i.id AS id, similarity, i.naf AS naf, i.path AS path, by_index,
       COLLECT { MATCH (i)-[:POSITIVE]->(c:Concept) RETURN coalesce(c.name, c.cui) AS name ORDER BY name } AS concepts
ORDER BY similarity DESC, id
