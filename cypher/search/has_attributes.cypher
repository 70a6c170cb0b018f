// Whether any edge from an image to a concept states attributes of the finding.
RETURN EXISTS {
  (:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept)
  WHERE r.side IS NOT NULL OR r.severity IS NOT NULL OR r.location IS NOT NULL OR r.change IS NOT NULL
    OR r.acuity IS NOT NULL
} AS stated
