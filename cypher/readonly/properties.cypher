// The property keys of the graph.
CALL db.propertyKeys() YIELD propertyKey
RETURN propertyKey AS name
