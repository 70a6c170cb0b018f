// Waits until the indexes are online.
CALL db.awaitIndexes(300)
