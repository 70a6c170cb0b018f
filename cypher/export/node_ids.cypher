// The internal ids of the nodes that an export may hold, in blocks. An entity of a report counts when an image that
// shows it does.
// param concepts_only boolean: leave out all but concepts
// param images list = null: internal ids of the images that count; null for all
MATCH (n:Image|Concept|Entity|Thing)
WHERE (NOT $concepts_only OR n:Concept)
  AND ($images IS NULL OR CASE
    WHEN n:Image THEN id(n) IN $images
    WHEN n:Entity THEN EXISTS { (i:Image)-[:SHOWS]->(n) WHERE id(i) IN $images }
    ELSE true
  END)
RETURN id(n) / 10000 AS block, collect(id(n)) AS ids
