// Lists each run and claim of some nodes once, and no claims where all runs claim all properties.
// param ids list: internal ids of nodes
// param own list: names of properties that no run claims: keys, and the platform's own notes
UNWIND $ids AS id
MATCH (n) WHERE id(n) = id
WITH n, [k IN keys(n) WHERE NOT k IN $own] AS names,
     reduce(once = [], x IN coalesce(n.runs, []) | CASE WHEN x IN once THEN once ELSE once + x END) AS runs,
     CASE WHEN n.claims IS NOT NULL
       THEN reduce(once = [], x IN n.claims | CASE WHEN x IN once THEN once ELSE once + x END) END AS claims
SET n.runs = runs, n.claims = CASE WHEN size(claims) = size(names) * size(runs) THEN null ELSE claims END
