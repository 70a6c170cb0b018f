// Which of these concepts the graph has, each with those of them that a relation joins with it. Predicted edges are no
// relations.
// param cuis list: CUIs
MATCH (c:Concept)
WHERE c.cui IN $cuis
RETURN c.cui AS cui,
       COLLECT {
         MATCH (c)-[r]-(other:Concept)
         WHERE other.cui IN $cuis AND type(r) <> 'PREDICTED'
         RETURN DISTINCT other.cui AS related
         ORDER BY related
       } AS related
ORDER BY cui
