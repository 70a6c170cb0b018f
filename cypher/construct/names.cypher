// The names that sources other than construction give to concepts, and how many stances those sources assert of each.
// param kind string = "construct": the kind of the runs that are left out
MATCH (run:Run) WHERE run.kind <> $kind
WITH collect(run.id) AS others
MATCH (c:Concept) WHERE any(run IN c.runs WHERE run IN others) AND c.name IS NOT NULL
RETURN c.cui AS cui, c.name AS name, coalesce(c.semantic_types, []) AS types,
  COUNT { (c)<-[r:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) WHERE any(run IN r.runs WHERE run IN others) } AS weight
ORDER BY cui
