// Lists each run and claim of some edges once, the claims as `who_claims`, and no claims where all runs claim all properties.
// param ids list: internal ids of edges
// param own list: names of properties that no run claims: keys, and the platform's own records
UNWIND $ids AS id
MATCH ()-[r]->() WHERE id(r) = id AND r.runs IS NOT NULL
WITH r, [k IN keys(r) WHERE NOT k IN $own] AS names, coalesce(r.runs, []) AS runs,
     coalesce(r.who_claims, r.claims) AS claims
WITH r, names, reduce(once = [], x IN runs | CASE WHEN x IN once THEN once ELSE once + x END) AS runs,
     CASE WHEN claims IS NOT NULL
       THEN reduce(once = [], x IN claims | CASE WHEN x IN once THEN once ELSE once + x END) END AS claims
SET r.runs = runs, r.claims = null,
  r.who_claims = CASE WHEN size(claims) = size(names) * size(runs) THEN null ELSE claims END
