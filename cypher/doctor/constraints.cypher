// Names of the constraints that are in force.
SHOW CONSTRAINTS YIELD name
RETURN name
