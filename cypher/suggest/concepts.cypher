// Concepts with names of similar spelling, by the full-text index, to suggest for one that is not in the graph.
// param words string: the name's words as a full-text query, each with ~ for similar spellings
// param limit integer = 100: how many candidates
CALL db.index.fulltext.queryNodes('concept_names', $words, {limit: $limit}) YIELD node AS c, score
WHERE c.name IS NOT NULL
RETURN c.cui AS cui, c.name AS name
ORDER BY score DESC, cui
