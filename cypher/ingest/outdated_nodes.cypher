// The internal ids of the nodes on which runs or claims are listed twice: loads of the same run at once left them in earlier
// versions.
MATCH (n)
WITH n, reduce(d = [], x IN coalesce(n.runs, []) | CASE WHEN x IN d THEN d ELSE d + x END) AS runs,
     reduce(d = [], x IN coalesce(n.claims, []) | CASE WHEN x IN d THEN d ELSE d + x END) AS claims
WHERE size(runs) < size(n.runs) OR size(claims) < size(n.claims)
RETURN id(n) AS id
