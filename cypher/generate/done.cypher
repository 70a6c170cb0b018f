// Which of these images a run has processed.
// param run string: the run's id
// param ids list: ids of images
UNWIND $ids AS id
MATCH (i:Image {id: id})
WHERE $run IN i.runs
RETURN id
