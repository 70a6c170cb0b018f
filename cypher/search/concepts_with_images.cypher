// Which of some concepts images have a stance to, with their names.
// param cuis list: CUIs
MATCH (c:Concept) WHERE c.cui IN $cuis AND EXISTS { (c)<-[:POSITIVE|NEGATIVE|UNCERTAIN]-(:Image) }
RETURN c.cui AS cui, coalesce(c.name, c.cui) AS name
ORDER BY cui
