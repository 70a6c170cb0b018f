// Records that a run asserts nodes and their properties, and fills missing properties. The first value of a
// property stays: a run with another value does not claim it. Where all runs of a node claim all its properties, the node has
// no `who_claims`. Changes nothing the second time.
// param rows list: [element id, properties]
// param run string: the run that asserts them
// param own list: names of properties that no run claims: keys, and the platform's own records
UNWIND $rows AS row
MATCH (n) WHERE elementId(n) = row[0]
WITH n, row[1] AS properties
WITH n, properties, coalesce(n.runs, []) AS runs, [k IN keys(n) WHERE NOT k IN $own] AS names
WITH n, properties, names, runs,
     CASE WHEN n.who_claims IS NOT NULL THEN n.who_claims
       ELSE reduce(all = [], x IN runs | all + [k IN names | k + '@' + x]) END AS claims
WITH n, properties, names, claims, CASE WHEN $run IN runs THEN runs ELSE runs + $run END AS runs,
     [k IN keys(properties) WHERE coalesce(n[k] = properties[k], true) AND NOT k + '@' + $run IN claims] AS new
WITH n, properties, runs, new, claims + [k IN new | k + '@' + $run] AS claims,
     size(names) + size([k IN new WHERE NOT k IN names]) AS names
FOREACH (k IN new | SET n[k] = properties[k])
SET n.runs = runs, n.who_claims = CASE WHEN size(claims) = names * size(runs) THEN null ELSE claims END
RETURN count(CASE WHEN new <> [] THEN 1 END) AS changed
