// Gives the Entity nodes of a batch the label of their presence: Present, Absent or Uncertain. Neo4j Browser's style
// selects nodes by label. Changes nothing the second time.
// param ids list: element ids of nodes
UNWIND $ids AS id
MATCH (e:Entity) WHERE elementId(e) = id
WITH e, CASE e.presence WHEN 'present' THEN 'Present' WHEN 'absent' THEN 'Absent' WHEN 'uncertain' THEN 'Uncertain' END
     AS label
WHERE label IS NOT NULL AND NOT label IN labels(e)
SET e:$(label)
