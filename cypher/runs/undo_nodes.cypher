// Removes a run from some of the nodes that it asserts, with the properties that no other run claims, and deletes nodes that
// no run asserts any more, with their embeddings. A node that still has edges of other runs stays; predictions do not
// keep it, and are deleted with it. Returns how many nodes and embeddings were deleted.
// param ids list: internal ids of nodes
// param run string: the run's id
// param own list: names of properties that no run claims: keys, and the platform's own records
UNWIND $ids AS id
MATCH (n) WHERE id(n) = id AND $run IN n.runs
WITH n, n.runs AS runs, [k IN keys(n) WHERE NOT k IN $own] AS names
WITH n, names, runs,
     CASE WHEN n.who_claims IS NOT NULL THEN n.who_claims
       ELSE reduce(all = [], x IN runs | all + [k IN names | k + '@' + x]) END AS claims
WITH n, names, [x IN runs WHERE x <> $run] AS runs, [c IN claims WHERE NOT c ENDS WITH '@' + $run] AS kept,
     [c IN claims WHERE c ENDS WITH '@' + $run | split(c, '@')[0]] AS mine
WITH n, names, runs, kept, [k IN mine WHERE NOT any(c IN kept WHERE c STARTS WITH k + '@')] AS lost,
     runs = [] AND NOT EXISTS { (n)-[:!PREDICTED]-() } AS gone
CALL (n, gone) {
  WITH * WHERE gone AND n:Image
  MATCH (v:ImageVector {id: n.id}) WHERE NOT v:Thing
  DELETE v
  RETURN count(*) AS images
}
CALL (n, gone) {
  WITH * WHERE gone AND n:Concept
  MATCH (v:ConceptVector {cui: n.cui}) WHERE NOT v:Thing
  DELETE v
  RETURN count(*) AS concepts
}
FOREACH (_ IN CASE WHEN gone THEN [1] ELSE [] END | DETACH DELETE n)
FOREACH (_ IN CASE WHEN gone THEN [] ELSE [1] END |
  FOREACH (k IN lost | SET n[k] = null)
  SET n.runs = CASE WHEN runs = [] THEN null ELSE runs END,
    n.who_claims = CASE WHEN size(kept) = (size(names) - size(lost)) * size(runs) THEN null ELSE kept END)
RETURN sum(CASE WHEN gone THEN 1 ELSE 0 END) AS nodes, sum(images + concepts) AS embeddings
