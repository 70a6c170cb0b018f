// Takes a run off some of the nodes that it asserts, with the properties that no other run claims, and deletes nodes that
// no run asserts any more. A node that still has edges of somebody else's stays; predictions do not hold it, and go with it.
// param ids list: internal ids of nodes
// param run string: the run's id
UNWIND $ids AS id
MATCH (n) WHERE id(n) = id AND $run IN n.runs
WITH n, [x IN n.runs WHERE x <> $run] AS runs, coalesce(n.claims, []) AS claims
WITH n, runs, [c IN claims WHERE NOT c ENDS WITH '@' + $run] AS kept,
     [c IN claims WHERE c ENDS WITH '@' + $run | split(c, '@')[0]] AS mine,
     runs = [] AND NOT EXISTS { (n)-[:!PREDICTED]-() } AS gone
FOREACH (_ IN CASE WHEN gone THEN [1] ELSE [] END | DETACH DELETE n)
FOREACH (_ IN CASE WHEN gone THEN [] ELSE [1] END |
  FOREACH (k IN [k IN mine WHERE NOT any(c IN kept WHERE c STARTS WITH k + '@')] | SET n[k] = null)
  SET n.runs = CASE WHEN runs = [] THEN null ELSE runs END, n.claims = CASE WHEN kept = [] THEN null ELSE kept END)
