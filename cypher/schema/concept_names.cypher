// Full-text index on concept names: CALL db.index.fulltext.queryNodes('concept_names', 'effusion').
CREATE FULLTEXT INDEX concept_names IF NOT EXISTS FOR (n:Concept) ON EACH [n.name]
