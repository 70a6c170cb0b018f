"""`kgp construct compare` with a graph: its names count where the user asks for them, and it stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.digest import digest
from kgplatform.graph import Graph
from tests.conftest import Kgp
from tests.fake_model import positive, serving

pytestmark = pytest.mark.server
pytest.importorskip("openai")


def test_names_of_the_graph_count_only_where_the_user_asks_for_them(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    triples_path, reports_path = tmp_path / "medmkg.csv", tmp_path / "reports.csv"
    triples_path.write_text(
        "Head,Relation,Tail,Head_Name,Tail_Name\nI1,POSITIVE,C9900001,Image,zebrafinch sign\n", encoding="utf-8"
    )
    reports_path.write_text('id,text\nr1,"FINDINGS: There is a zebrafinch sign. No effusion."\n', encoding="utf-8")
    assert kgp("ingest", "medmkg", triples_path).code == 0
    graph_digest = digest(graph)
    cuis = []
    with serving(positive) as server:
        for options in ((), ("--graph-names",)):
            arguments = ("reports", reports_path, "--llm", "m", "--llm-url", server.url, *options)
            page_path = tmp_path / f"page{len(options)}.html"
            completed = kgp("construct", "compare", *arguments, "--out", page_path, "--json")
            assert completed.code == 0, completed.err
            cuis.append({concept["cui"] for concept in completed.json["decisions"][0]["concepts"]})
    assert cuis[1] - cuis[0] == {"C9900001"}
    assert digest(graph) == graph_digest
