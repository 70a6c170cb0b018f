// A vector index: its state, how much of it is built, and its settings.
// param name string: the index's name
SHOW VECTOR INDEXES YIELD name, state, populationPercent, labelsOrTypes, properties, options
WHERE name = $name
RETURN state, populationPercent AS percent, labelsOrTypes AS labels, properties, options.indexConfig AS config
