// Names and states of the full-text indexes.
SHOW FULLTEXT INDEXES YIELD name, state
RETURN name, state
