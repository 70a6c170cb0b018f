// Marks a run as being undone; from here on it can only be undone to the end. The NaF scores are then out of date, unless
// the run only predicted.
// param run string: the run's id
MATCH (r:Run {id: $run})
SET r.status = 'undoing'
WITH r WHERE r.kind <> 'prediction'
MATCH (p:Platform {id: 'kgplatform'})
SET p.naf_current = false
