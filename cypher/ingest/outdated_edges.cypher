// The internal ids of the edges whose runs and claims an earlier version wrote: listed twice by loads of the same run at once,
// claims that are implied, or under the former name `claims`, which Neo4j Browser lists first.
// param own list: names of properties that no run claims: keys, and the platform's own records
MATCH ()-[r]->()
WHERE r.runs IS NOT NULL
WITH r, r.runs AS runs, r.who_claims AS claims, [k IN keys(r) WHERE NOT k IN $own] AS names
WHERE r.claims IS NOT NULL OR size(claims) >= size(names) * size(runs)
   OR any(i IN range(1, size(runs) - 1) WHERE runs[i] IN runs[..i])
   OR any(i IN range(1, size(coalesce(claims, [])) - 1) WHERE claims[i] IN claims[..i])
RETURN id(r) AS id
