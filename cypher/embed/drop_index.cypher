// Drops a vector index.
// param name string: the index' name
DROP INDEX $name IF EXISTS
