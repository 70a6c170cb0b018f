// Keeps every ConceptVector unique by its key, the cui of its Concept, and finds it quickly.
CREATE CONSTRAINT concept_vector_cui IF NOT EXISTS FOR (n:ConceptVector) REQUIRE n.cui IS UNIQUE
