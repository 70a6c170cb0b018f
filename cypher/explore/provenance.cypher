// Provenance of the edges from one node to another: each edge with the runs that asserted it, their sources and times.
// For a predicted edge, also the predicted relation and the model.
// param head string = "I50978146": id of the image or CUI of the concept at the head; else the image ranked first
// param tail string = "": CUI of the concept at the tail; all of the head's edges when empty
MATCH (h:Image|Concept)
WITH h ORDER BY coalesce(h.id, h.cui) = $head DESC, h.naf_rank, h.id
LIMIT 1
MATCH (h)-[r]->(t:Concept) WHERE $tail IN ['', t.cui]
UNWIND r.runs AS id
OPTIONAL MATCH (run:Run {id: id})
RETURN coalesce(h.id, h.cui) AS head, type(r) AS relation,
  CASE WHEN r:PREDICTED THEN r.relation END AS predicted, t.cui AS tail, t.name AS name, id AS run, run.kind AS kind,
  run.source AS source, run.version AS version, run.model AS model, run.finished AS finished
ORDER BY relation, predicted, tail, run
