// Takes a run off some of the nodes that it asserts, with the properties that no other run claims, and deletes nodes that
// no run asserts any more. A node that still has edges of somebody else's stays; predictions do not hold it, and go with it.
// param ids list: internal ids of nodes
// param run string: the run's id
// param own list: names of properties that no run claims: keys, and the platform's own notes
UNWIND $ids AS id
MATCH (n) WHERE id(n) = id AND $run IN n.runs
WITH n, n.runs AS runs, [k IN keys(n) WHERE NOT k IN $own] AS names
WITH n, names, runs,
     CASE WHEN n.claims IS NOT NULL THEN n.claims
       ELSE reduce(all = [], x IN runs | all + [k IN names | k + '@' + x]) END AS claims
WITH n, names, [x IN runs WHERE x <> $run] AS runs, [c IN claims WHERE NOT c ENDS WITH '@' + $run] AS kept,
     [c IN claims WHERE c ENDS WITH '@' + $run | split(c, '@')[0]] AS mine
WITH n, names, runs, kept, [k IN mine WHERE NOT any(c IN kept WHERE c STARTS WITH k + '@')] AS lost,
     runs = [] AND NOT EXISTS { (n)-[:!PREDICTED]-() } AS gone
FOREACH (_ IN CASE WHEN gone THEN [1] ELSE [] END | DETACH DELETE n)
FOREACH (_ IN CASE WHEN gone THEN [] ELSE [1] END |
  FOREACH (k IN lost | SET n[k] = null)
  SET n.runs = CASE WHEN runs = [] THEN null ELSE runs END,
    n.claims = CASE WHEN size(kept) = (size(names) - size(lost)) * size(runs) THEN null ELSE kept END)
