// Keeps every Run unique by its key, id, and finds it quickly.
CREATE CONSTRAINT run_id IF NOT EXISTS FOR (n:Run) REQUIRE n.id IS UNIQUE
