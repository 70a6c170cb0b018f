// Notes that a run asserts nodes and their properties, and fills properties that are missing. The first value of a
// property stays: a run that says otherwise claims nothing. Changes nothing the second time.
// param rows list: [element id, properties]
// param run string: the run that asserts them
UNWIND $rows AS row
MATCH (n) WHERE elementId(n) = row[0]
WITH n, row[1] AS properties,
     [k IN keys(row[1]) WHERE coalesce(n[k] = row[1][k], true) AND NOT k + '@' + $run IN coalesce(n.claims, [])] AS new
FOREACH (k IN new | SET n[k] = properties[k])
FOREACH (_ IN CASE WHEN new = [] THEN [] ELSE [1] END |
  SET n.claims = coalesce(n.claims, []) + [k IN new | k + '@' + $run])
FOREACH (_ IN CASE WHEN $run IN coalesce(n.runs, []) THEN [] ELSE [1] END | SET n.runs = coalesce(n.runs, []) + $run)
RETURN count(CASE WHEN new <> [] THEN 1 END) AS changed
