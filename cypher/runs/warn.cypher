// Notes on a run what its user was warned of.
// param run string: the run's id
// param warnings list: the warnings, each one line
MATCH (r:Run {id: $run})
SET r.warnings = $warnings
