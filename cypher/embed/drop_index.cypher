// Drops a vector index.
// param name string: the index's name
DROP INDEX $name IF EXISTS
