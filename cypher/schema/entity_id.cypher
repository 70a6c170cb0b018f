// Keeps every Entity unique by its key, id, and finds it quickly.
CREATE CONSTRAINT entity_id IF NOT EXISTS FOR (n:Entity) REQUIRE n.id IS UNIQUE
