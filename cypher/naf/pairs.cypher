// Every image with the concepts it covers, best score first: for the greedy set cover.
MATCH (i:Image)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)
RETURN i.id AS image, i.naf_rank AS rank, collect(DISTINCT c.cui) AS concepts
ORDER BY rank
