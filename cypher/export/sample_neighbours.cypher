// Draws for each of some nodes at most `fanout` of its edges, without replacement: those whose ids come first after the
// hash (a · id + b) mod 2147483647. The same a and b draw the same edges.
// param images list: [place, id] of images
// param concepts list: [place, cui] of concepts
// param entities list: [place, id] of entities
// param things list: [place, id] of things
// param relations list: the relations that count
// param outgoing boolean: draw from the edges that leave a node, too, not only from those that end there
// param fanout integer: how many edges a node
// param a integer: from 1 to 2147483646
// param b integer: from 0 to 2147483646
CALL () {
  UNWIND $images AS row MATCH (n:Image {id: row[1]}) RETURN row[0] AS place, n
  UNION ALL
  UNWIND $concepts AS row MATCH (n:Concept {cui: row[1]}) RETURN row[0] AS place, n
  UNION ALL
  UNWIND $entities AS row MATCH (n:Entity {id: row[1]}) RETURN row[0] AS place, n
  UNION ALL
  UNWIND $things AS row MATCH (n:Thing {id: row[1]}) RETURN row[0] AS place, n
}
CALL (n) {
  MATCH (n)-[r]-(m)
  WHERE type(r) IN $relations AND ($outgoing OR endNode(r) = n) AND (m:Image OR m:Concept OR m:Entity OR m:Thing)
  WITH n, r, m
  ORDER BY (id(r) % 2147483647 * $a + $b) % 2147483647, id(r)
  LIMIT $fanout
  RETURN type(r) AS relation, endNode(r) = n AS incoming,
         CASE WHEN m:Image THEN 'Image' WHEN m:Concept THEN 'Concept' WHEN m:Entity THEN 'Entity' ELSE 'Thing' END AS kind,
         CASE WHEN m:Concept AND NOT m:Image THEN m.cui ELSE m.id END AS key
}
RETURN collect(place) AS places, collect(relation) AS relations, collect(incoming) AS incoming, collect(kind) AS kinds,
       collect(coalesce(toStringOrNull(key), '')) AS keys
