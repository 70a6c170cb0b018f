// Concepts that look like headings of a report and not like findings: section headers ("Impression", "Findings")
// and SNOMED qualifier values, which carry many cross-modality edges but no clinical content.
// param names list = ["impression", "findings", "indication", "comparison", "technique", "history", "examination"]: headers
// param limit integer = 25: how many concepts
MATCH (c:Concept) WHERE toLower(c.name) IN $names OR toLower(c.name) ENDS WITH '(qualifier value)'
WITH c, COUNT { (c)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) } AS edges WHERE edges > 0
RETURN c.cui AS cui, c.name AS concept, edges,
  CASE WHEN toLower(c.name) IN $names THEN 'section header' ELSE 'qualifier value' END AS kind
ORDER BY edges DESC, cui
LIMIT $limit
