// Findings at the same site: those that share a finding site with a given one, and how many images show them.
// UMLS direction: (finding)-[:finding_site_of]->(site) reads "the site is the finding's site".
// param concept string = "C0004144": the finding's CUI; if the graph lacks it, the concept with most sites
// param limit integer = 25: how many findings
MATCH (c:Concept)
WITH c ORDER BY c.cui = $concept DESC, COUNT { (c)-[:finding_site_of]->() } DESC, c.cui
LIMIT 1
MATCH (c)-[:finding_site_of]->(site:Concept)<-[:finding_site_of]-(other:Concept) WHERE other <> c
WITH c, other, collect(DISTINCT site.name) AS sites
RETURN c.name AS finding, other.cui AS cui, other.name AS differential, sites,
  COUNT { (other)<-[:POSITIVE]-() } AS positive, COUNT { (c)-[:ddx]-(other) } > 0 AS umls_ddx
ORDER BY umls_ddx DESC, positive DESC, cui
LIMIT $limit
