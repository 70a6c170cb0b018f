// Records on the run, in the transaction that writes a batch, how many nodes got an embedding.
// param run string: the run's id
// param images integer: images of this batch that got one
// param concepts integer: concepts of this batch that got one
MATCH (r:Run {id: $run})
SET r.images = r.images + $images, r.concepts = r.concepts + $concepts,
    r.rows_written = r.rows_written + $images + $concepts
