// The names that sources give to concepts, and how many stances they assert for each. Runs that found concepts by names
// are left out, so that a repeated load searches for the same names.
// param kinds list = ["construct", "radgraph", "generate"]: the kinds of runs that are left out
MATCH (run:Run) WHERE NOT run.kind IN $kinds
WITH collect(run.id) AS others
MATCH (c:Concept) WHERE any(run IN c.runs WHERE run IN others) AND c.name IS NOT NULL
RETURN c.cui AS cui, c.name AS name, coalesce(c.semantic_types, []) AS types,
  COUNT { (c)<-[r:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) WHERE any(run IN r.runs WHERE run IN others) } AS weight
ORDER BY cui
