// Finds or creates the predicted edges of a batch and records the run on them. All that a model says about a pair is the key:
// runs that say the same share an edge, a run with another score has a separate edge, so an undo never removes
// a value of another run.
// param ids list: element ids of the batch's nodes
// param rows list: [index of head in ids, relation, index of tail in ids, map of score and rank]
// param model string: the model that predicts
// param run string: the run that asserts them
UNWIND $rows AS row
MATCH (h) WHERE elementId(h) = $ids[row[0]]
MATCH (t) WHERE elementId(t) = $ids[row[2]]
MERGE (h)-[r:PREDICTED {relation: row[1], model: $model, score: row[3].score, rank: row[3].rank}]->(t)
ON CREATE SET r.runs = [$run]
WITH r WHERE NOT $run IN coalesce(r.runs, [])
SET r.runs = coalesce(r.runs, []) + $run
