// How many nodes of a batch a run would complete: for a dry run.
// param rows list: [element id, properties]
// param run string: the run that would assert them
UNWIND $rows AS row
MATCH (n) WHERE elementId(n) = row[0]
  AND any(k IN keys(row[1])
          WHERE coalesce(n[k] = row[1][k], true) AND NOT k + '@' + $run IN
            coalesce(n.who_claims, n.claims, CASE WHEN $run IN n.runs AND n[k] IS NOT NULL THEN [k + '@' + $run] ELSE [] END))
RETURN count(n) AS changed
