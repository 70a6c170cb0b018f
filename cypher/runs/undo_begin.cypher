// Marks a run as being undone; from here on it can only be undone to the end.
// param run string: the run's id
MATCH (r:Run {id: $run})
SET r.status = 'undoing'
WITH r
MATCH (p:Platform {id: 'kgplatform'})
SET p.naf_current = false
