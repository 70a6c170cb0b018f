// Lists each run and claim of some nodes once, the claims as `who_claims`, and no claims where all runs claim all properties.
// param ids list: internal ids of nodes
// param own list: names of properties that no run claims: keys, and the platform's own records
UNWIND $ids AS id
MATCH (n) WHERE id(n) = id AND n.runs IS NOT NULL
WITH n, [k IN keys(n) WHERE NOT k IN $own] AS names, coalesce(n.runs, []) AS runs,
     coalesce(n.who_claims, n.claims) AS claims
WITH n, names, reduce(once = [], x IN runs | CASE WHEN x IN once THEN once ELSE once + x END) AS runs,
     CASE WHEN claims IS NOT NULL
       THEN reduce(once = [], x IN claims | CASE WHEN x IN once THEN once ELSE once + x END) END AS claims
SET n.runs = runs, n.claims = null,
  n.who_claims = CASE WHEN size(claims) = size(names) * size(runs) THEN null ELSE claims END
