// Which words are in names of the graph's concepts: exactly, or except for one letter. No row where no concept has a name.
// param words list: words in lower case, of letters and digits
MATCH (named:Concept) WHERE named.name IS NOT NULL
WITH named LIMIT 1
UNWIND $words AS word
CALL (word) {
  CALL db.index.fulltext.queryNodes('concept_names', '"' + word + '"', {limit: 1}) YIELD node
  RETURN count(node) > 0 AS known
}
CALL (word) {
  CALL db.index.fulltext.queryNodes('concept_names', word + '~1', {limit: 1}) YIELD node
  RETURN count(node) > 0 AS near
}
RETURN word, known, near
