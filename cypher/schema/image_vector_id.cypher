// Keeps every ImageVector unique by its key, the id of its Image, and finds it quickly.
CREATE CONSTRAINT image_vector_id IF NOT EXISTS FOR (n:ImageVector) REQUIRE n.id IS UNIQUE
