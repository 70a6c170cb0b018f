// What joins two concepts of a question: the edges between them, then paths of two edges through a third concept, the
// one with the fewest edges first. One call answers for many pairs.
// param pairs list: [number, CUI, CUI]
// param paths integer: how many third concepts of a pair
UNWIND $pairs AS pair
MATCH (a:Concept {cui: pair[1]}), (b:Concept {cui: pair[2]})
CALL (a, b) {
  MATCH (a)-[r]-(b)
  RETURN -1 AS turn, 0 AS half, startNode(r) <> a AS back, type(r) AS kind, startNode(r) AS head, endNode(r) AS tail
  UNION ALL
  MATCH (a)--(m:Concept)--(b)
  WHERE m <> a AND m <> b
  WITH DISTINCT a, b, m
  WITH a, b, m, COUNT { (m)--(:Image|Concept) } AS edges
  ORDER BY edges, m.cui
  WITH a, b, collect(m)[..$paths] AS those
  UNWIND range(0, size(those) - 1) AS turn
  WITH a, b, turn, those[turn] AS m
  CALL (a, b, m) {
    MATCH (a)-[r]-(m)
    RETURN 0 AS half, r, startNode(r) <> a AS back
    UNION ALL
    MATCH (m)-[r]-(b)
    RETURN 1 AS half, r, startNode(r) <> m AS back
  }
  RETURN turn, half, back, type(r) AS kind, startNode(r) AS head, endNode(r) AS tail
}
WITH pair[0] AS number, turn, half, back, kind, head, tail
ORDER BY number, turn, half, back, kind
RETURN number, turn < 0 AS direct,
       collect([kind, head.cui, coalesce(head.name, head.cui), tail.cui, coalesce(tail.name, tail.cui)]) AS edges
ORDER BY number, direct DESC
