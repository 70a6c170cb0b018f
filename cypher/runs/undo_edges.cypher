// Takes a run off some of the edges that it asserts, with the properties that no other run claims, and deletes edges that
// no run asserts any more.
// param ids list: internal ids of edges
// param run string: the run's id
UNWIND $ids AS id
MATCH ()-[r]->() WHERE id(r) = id AND $run IN r.runs
WITH r, [x IN r.runs WHERE x <> $run] AS runs, coalesce(r.claims, []) AS claims
WITH r, runs, [c IN claims WHERE NOT c ENDS WITH '@' + $run] AS kept,
     [c IN claims WHERE c ENDS WITH '@' + $run | split(c, '@')[0]] AS mine
FOREACH (_ IN CASE WHEN runs = [] THEN [1] ELSE [] END | DELETE r)
FOREACH (_ IN CASE WHEN runs = [] THEN [] ELSE [1] END |
  FOREACH (k IN [k IN mine WHERE NOT any(c IN kept WHERE c STARTS WITH k + '@')] | SET r[k] = null)
  SET r.runs = runs, r.claims = CASE WHEN kept = [] THEN null ELSE kept END)
