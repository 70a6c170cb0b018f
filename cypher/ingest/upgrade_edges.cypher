// Lists each run and claim once on some edges.
// param ids list: internal ids of edges
UNWIND $ids AS id
MATCH ()-[r]->() WHERE id(r) = id
SET r.runs = reduce(d = [], x IN coalesce(r.runs, []) | CASE WHEN x IN d THEN d ELSE d + x END),
    r.claims = reduce(d = [], x IN coalesce(r.claims, []) | CASE WHEN x IN d THEN d ELSE d + x END)
