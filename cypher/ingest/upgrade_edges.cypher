// Lists each run and claim of some edges once, and no claims where all runs claim all properties.
// param ids list: internal ids of edges
// param own list: names of properties that no run claims: keys, and the platform's own notes
UNWIND $ids AS id
MATCH ()-[r]->() WHERE id(r) = id
WITH r, [k IN keys(r) WHERE NOT k IN $own] AS names,
     reduce(once = [], x IN coalesce(r.runs, []) | CASE WHEN x IN once THEN once ELSE once + x END) AS runs,
     CASE WHEN r.claims IS NOT NULL
       THEN reduce(once = [], x IN r.claims | CASE WHEN x IN once THEN once ELSE once + x END) END AS claims
SET r.runs = runs, r.claims = CASE WHEN size(claims) = size(names) * size(runs) THEN null ELSE claims END
