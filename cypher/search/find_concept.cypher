// The concepts that a name or a CUI may mean, best first.
// param name string: a CUI, or a name in any case
// param words string: the name's words as a full-text query
// param limit integer = 50: how many
CALL () {
  MATCH (c:Concept {cui: toUpper($name)})
  RETURN c, 1.0 AS score
  UNION
  CALL db.index.fulltext.queryNodes('concept_names', $words, {limit: $limit}) YIELD node AS c, score
  RETURN c, score
}
WITH c, max(score) AS score
RETURN c.cui AS cui, c.name AS name, c.cui = toUpper($name) OR toLower(c.name) = toLower($name) AS exact
ORDER BY exact DESC, score DESC, cui
