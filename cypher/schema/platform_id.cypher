// Keeps every Platform unique by its key, id, and finds it quickly.
CREATE CONSTRAINT platform_id IF NOT EXISTS FOR (n:Platform) REQUIRE n.id IS UNIQUE
