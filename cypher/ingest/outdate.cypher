// Marks the NaF scores as out of date, in the transaction that adds to the graph.
MATCH (p:Platform {id: 'kgplatform'})
SET p.naf_current = false
