// Lists each run and claim once on some nodes.
// param ids list: internal ids of nodes
UNWIND $ids AS id
MATCH (n) WHERE id(n) = id
SET n.runs = reduce(d = [], x IN coalesce(n.runs, []) | CASE WHEN x IN d THEN d ELSE d + x END),
    n.claims = reduce(d = [], x IN coalesce(n.claims, []) | CASE WHEN x IN d THEN d ELSE d + x END)
