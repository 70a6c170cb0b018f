// Keeps every Thing unique by its key, id, and finds it quickly.
CREATE CONSTRAINT thing_id IF NOT EXISTS FOR (n:Thing) REQUIRE n.id IS UNIQUE
