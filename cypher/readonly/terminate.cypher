// Asks the server to end the transactions that have a mark.
// param mark string: the mark in the transaction's metadata
SHOW TRANSACTIONS YIELD transactionId AS id, metaData
WHERE metaData.kgp = $mark
TERMINATE TRANSACTIONS id
YIELD message
RETURN message
