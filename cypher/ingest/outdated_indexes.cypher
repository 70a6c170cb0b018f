// The vector indexes of earlier versions, which are on the images and concepts themselves.
SHOW VECTOR INDEXES YIELD name, labelsOrTypes
WHERE name IN ['image_embedding', 'concept_embedding'] AND labelsOrTypes IN [['Image'], ['Concept']]
RETURN name
