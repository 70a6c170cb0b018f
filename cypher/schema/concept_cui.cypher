// Keeps every Concept unique by its key, cui, and finds it quickly.
CREATE CONSTRAINT concept_cui IF NOT EXISTS FOR (n:Concept) REQUIRE n.cui IS UNIQUE
