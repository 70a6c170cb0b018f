// Keeps every Image unique by its key, id, and finds it quickly.
CREATE CONSTRAINT image_id IF NOT EXISTS FOR (n:Image) REQUIRE n.id IS UNIQUE
