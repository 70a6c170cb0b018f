// Closes the run of a generator with the counts of all that it asserts now, from all calls: images, triplets and
// edges.
// param run string: the run's id
// param rejected integer: images of the last call that could not be read
MATCH (r:Run {id: $run})
WHERE r.status IN ['running', 'done']
CALL () {
  MATCH (i:Image) WHERE $run IN i.runs
  RETURN count(i) AS images
}
CALL () {
  MATCH ()-[e]->() WHERE $run IN e.runs
  RETURN count(e) AS edges, count(CASE WHEN NOT type(e) IN ['SHOWS', 'REFERS_TO'] THEN 1 END) AS triplets
}
SET r.status = 'done', r.finished = datetime(), r.images = images, r.triplets = triplets, r.rows_read = images + $rejected,
    r.rows_rejected = $rejected, r.rows_written = edges
RETURN images, triplets, edges
