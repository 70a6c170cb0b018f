// Finds concepts by words in their names (full-text search: word~ for similar spellings, word*, "a phrase").
// param words string = "pleural effusion": what to look for
// param limit integer = 20: how many concepts
CALL db.index.fulltext.queryNodes('concept_names', $words, {limit: $limit}) YIELD node AS c, score
RETURN c.cui AS cui, c.name AS concept, COUNT { (c)<-[:POSITIVE]-() } AS positive,
  COUNT { (c)<-[:NEGATIVE]-() } AS negative, COUNT { (c)<-[:UNCERTAIN]-() } AS uncertain, score
ORDER BY score DESC, cui
