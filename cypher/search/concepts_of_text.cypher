// The concepts with words of a text in their names, best first: those that the text may name.
// param words string: the text's words as a full-text query
// param limit integer = 100: how many
CALL db.index.fulltext.queryNodes('concept_names', $words, {limit: $limit}) YIELD node AS c, score
RETURN c.cui AS cui, c.name AS name, coalesce(c.semantic_types, []) AS types
ORDER BY score DESC, cui
