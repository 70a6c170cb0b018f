// Removes a run from some of the edges that it asserts, with the properties that no other run claims, and deletes edges that
// no run asserts any more.
// param ids list: internal ids of edges
// param run string: the run's id
// param own list: names of properties that no run claims: keys, and the platform's own records
UNWIND $ids AS id
MATCH ()-[r]->() WHERE id(r) = id AND $run IN r.runs
WITH r, r.runs AS runs, [k IN keys(r) WHERE NOT k IN $own] AS names
WITH r, names, runs,
     CASE WHEN r.who_claims IS NOT NULL THEN r.who_claims
       ELSE reduce(all = [], x IN runs | all + [k IN names | k + '@' + x]) END AS claims
WITH r, names, [x IN runs WHERE x <> $run] AS runs, [c IN claims WHERE NOT c ENDS WITH '@' + $run] AS kept,
     [c IN claims WHERE c ENDS WITH '@' + $run | split(c, '@')[0]] AS mine
WITH r, names, runs, kept, [k IN mine WHERE NOT any(c IN kept WHERE c STARTS WITH k + '@')] AS lost
FOREACH (_ IN CASE WHEN runs = [] THEN [1] ELSE [] END | DELETE r)
FOREACH (_ IN CASE WHEN runs = [] THEN [] ELSE [1] END |
  FOREACH (k IN lost | SET r[k] = null)
  SET r.runs = runs,
    r.who_claims = CASE WHEN size(kept) = (size(names) - size(lost)) * size(runs) THEN null ELSE kept END)
