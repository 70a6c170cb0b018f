// Records on a run the warnings that its user saw.
// param run string: the run's id
// param warnings list: the warnings, each one line
MATCH (r:Run {id: $run})
SET r.warnings = $warnings
