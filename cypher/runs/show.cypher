// One run: its record, and what it asserts in the graph now.
// param run string: the run's id
MATCH (r:Run {id: $run})
RETURN properties(r) AS run,
       COUNT { MATCH (n) WHERE $run IN n.runs } AS nodes,
       COUNT { MATCH ()-[e]->() WHERE $run IN e.runs } AS edges,
       COUNT { MATCH ()-[e]->() WHERE e.runs = [$run] } AS edges_of_this_run_alone
