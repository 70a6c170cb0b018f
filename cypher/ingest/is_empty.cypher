// Whether the graph holds nothing that a source asserted.
RETURN NOT EXISTS { MATCH (n) WHERE NOT n:Platform AND NOT n:Run } AS empty
