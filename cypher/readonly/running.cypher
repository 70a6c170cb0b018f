// The transactions that have a mark and still run.
// param mark string: the mark in the transaction's metadata
SHOW TRANSACTIONS YIELD transactionId AS id, metaData
WHERE metaData.kgp = $mark
RETURN id
