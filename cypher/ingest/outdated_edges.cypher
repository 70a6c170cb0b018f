// The internal ids of the edges on which runs or claims are listed twice: loads of the same run at once left them in earlier
// versions.
MATCH ()-[r]->()
WITH r, reduce(d = [], x IN coalesce(r.runs, []) | CASE WHEN x IN d THEN d ELSE d + x END) AS runs,
     reduce(d = [], x IN coalesce(r.claims, []) | CASE WHEN x IN d THEN d ELSE d + x END) AS claims
WHERE size(runs) < size(r.runs) OR size(claims) < size(r.claims)
RETURN id(r) AS id
