"""Which statements are refused by their text because a server could not end them, and which similar ones are not."""

from __future__ import annotations

from typing import Any

import pytest

from kgplatform.errors import QueryRefused
from kgplatform.readonly import check_query_text
from tests import ROOT

PARAMETERS: dict[str, Any] = {
    "n": 30_000_000_000,
    "small": 10,
    "pattern": "(a+)+b",
    "cui": "C0004144",
    "name": "x",
}
LEGITIMATE = ROOT / "tests" / "data" / "legitimate_cypher.txt"


@pytest.mark.parametrize(
    "text",
    [
        "RETURN reduce(x=0, i IN range(1,30000000000) | x+i)",
        "RETURN REDUCE(x=0, i IN `range`(1, 3e10) | x+i)",
        "RETURN reduce(x=0, i IN range(1, $n) | x+i)",
        "RETURN reduce(x=0, i IN range(1, 0x6FC23AC00) | x+i)",
        "RETURN reduce(x=0, i IN range(-30_000_000_000, 0) | x+i)",
        "RETURN reduce(x=0, i IN range(30000000000, 1, -1) | x+i)",
        "RETURN reduce(x=0, i IN range(1, toInteger(10^10)) | x+i)",
        "RETURN reduce(x=0, i IN range(1, toInteger('30000000000')) | x+i)",
        "RETURN reduce(x=0, i IN range(1, 100000*100000) | x+i)",
        "RETURN range(1,50000000)",
        "RETURN size([x IN range(1,50000000) | x])",
        "RETURN any(x IN range(1, 9999999999) WHERE x < 0)",
        "RETURN reduce(x=0, i IN range(1,100000) | x + reduce(y=0, j IN range(1,100000) | y+1))",
        "RETURN [a IN range(1,100000) | [b IN range(1,100000) | a*b]]",
        "WITH range(1,1000000) AS a RETURN size([x IN a | [y IN a | [x,y]]])",
        "WITH range(1,1000000) AS a WITH a AS b, 1 AS c RETURN all(x IN b WHERE any(y IN a WHERE y = x))",
        "WITH range(1,100000) AS a RETURN reduce(s=0, x IN a | s + reduce(t=0, y IN a | t + y))",
        "WITH [x IN range(1,1000000) | x] AS `a` RETURN [x IN `a` WHERE none(y IN a WHERE y > x) | x]",
        "RETURN size([x IN range(1,100000) | range(1,100000)])",
        "RETURN reduce(s='ab', i IN range(1,29) | s+s)",
        "RETURN reduce(s=['ab'], i IN range(1,29) | s + i + s)",
        "RETURN reduce(s='ab', i IN range(1,29) | s + toUpper(s))",
        "RETURN reduce(s=[1], i IN range(1,29) | s + [x IN s | x])",
        "RETURN reduce(s='ab', i IN range(1,9) | replace(s, 'a', s))",
        "RETURN reduce(s={a: 'x'}, i IN range(1,29) | {a: s.a + s.a})",
        "WITH 'abab' AS s " + "WITH s+s AS s " * 29 + "RETURN size(s)",
        "WITH 'abab' AS s " + "WITH replace(s,'a',s) AS s " * 9 + "RETURN size(s)",
        "MATCH (c:Concept) WHERE c.name =~ '(a+)+b' RETURN c",
        "MATCH (c:Concept) WHERE c.name =~ '(a|aa)*b' RETURN c",
        "MATCH (c:Concept) WHERE c.name =~ '.*a.*a.*a.*a.*a.*a.*b' RETURN c",
        "MATCH (c:Concept) WHERE c.name =~ $pattern RETURN c",
    ],
)
def test_what_a_server_cannot_end_is_refused(text: str) -> None:
    with pytest.raises(QueryRefused):
        check_query_text(text, PARAMETERS)


@pytest.mark.parametrize(
    "text",
    [
        "UNWIND range(1, 100000000000) AS x RETURN x LIMIT 5",
        "UNWIND range(1, $n) AS x RETURN x LIMIT 5",
        "RETURN reduce(x=0, i IN range(1, 1000000) | x+i)",
        "RETURN reduce(x=0, i IN range(1, $small) | x+i)",
        "MATCH p = (:Image)-[*1..3]-(:Concept) RETURN [k IN range(0, size(nodes(p))-1) | nodes(p)[k]] LIMIT 3",
        "MATCH p = (:Image)-[*1..3]-() RETURN [k IN range(0, length(p)-1, 2) | relationships(p)[k]]",
        "RETURN [a IN range(1,100) | [b IN range(1,100) | a*b]]",
        "WITH range(1,100000) AS a RETURN size([x IN a | x]), size([y IN a | y])",
        "RETURN size(range(1,1000000)), size(range(1,1000000))",
        "UNWIND range(1,1000000) AS a RETURN size([x IN [a] | [y IN [a] | [x,y]]])",
        "WITH range(1,1000) AS a RETURN size([x IN a | [y IN a | [x,y]]])",
        "MATCH (c:Concept) WHERE (c.cui IN ['C0004144']) RETURN [c.cui, c.name IN ['x']]",
        "RETURN reduce(s=0.0, x IN [1, 2] | s + s*x)",
        "WITH ['a', 'b'] AS xs RETURN reduce(s='', x IN xs | s + CASE WHEN s = '' THEN '' ELSE ', ' END + x)",
        "WITH [3, 1] AS xs RETURN reduce(m = head(xs), x IN xs | CASE WHEN x > m THEN x ELSE m END)",
        "WITH [1, 1] AS xs RETURN reduce(s = [], x IN xs | CASE WHEN x IN s THEN s ELSE s + x END)",
        "WITH [[1]] AS xs RETURN reduce(s = [], x IN xs | s + [y IN x WHERE NOT y IN s])",
        "WITH [1] AS xs RETURN reduce(a = {sum: 0, n: 0}, x IN xs | {sum: a.sum + x, n: a.n + 1})",
        "MATCH (c:Concept) WHERE c.name =~ '(?i).*effusion.*left.*' RETURN c",
        "MATCH (c:Concept) WHERE c.cui =~ 'C[0-9]{7}' RETURN c",
        r"MATCH (c:Concept) WHERE c.name =~ '.*\\(disorder\\)' RETURN c",
        "MATCH (i:Image) WHERE i.study_id > 50000000000 RETURN [k IN range(0, 3) | k]",
        "MATCH (a)-[r*1..3]->(b) WHERE a.x + a.x > 3 RETURN count(*)",
    ],
)
def test_what_looks_like_it_is_not(text: str) -> None:
    check_query_text(text, PARAMETERS)


def test_the_legitimate_corpus_is_let_through() -> None:
    for statement in LEGITIMATE.read_text(encoding="utf-8").split("\n"):
        if statement:
            check_query_text(statement.replace("⏎", "\n"), PARAMETERS)
