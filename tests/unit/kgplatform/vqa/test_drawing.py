"""A question's subgraph as a picture: well-formed with any names, and every edge is in it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.errors import InputError
from kgplatform.vqa.drawing import draw_subgraph, write_drawing
from kgplatform.vqa.live import SubgraphEdge, SubgraphNode

SVG = "{http://www.w3.org/2000/svg}"
NODES = st.builds(SubgraphNode, st.text(max_size=9), st.text(max_size=60), st.booleans())


@given(
    st.text(max_size=200),
    st.lists(NODES, max_size=4, unique=True),
    st.lists(st.tuples(NODES, st.text(max_size=9), NODES), max_size=9),
)
def test_whatever_the_names_are_it_is_well_formed(
    question: str, named: list[SubgraphNode], rows: list[tuple[SubgraphNode, str, SubgraphNode]]
) -> None:
    drawn_edges = [SubgraphEdge(*edge_row) for edge_row in rows]
    svg_root = ElementTree.fromstring(draw_subgraph(question, named, drawn_edges))  # noqa: S314  our own
    assert len(svg_root.findall(f"{SVG}path")) == len(drawn_edges)
    drawn_nodes = {*named, *(node for edge in drawn_edges for node in (edge.head, edge.tail))}
    assert len(svg_root.findall(f"{SVG}circle")) == len(drawn_nodes)


def test_names_kinds_and_the_question_are_told() -> None:
    zorevane, effusion = SubgraphNode("C0000001", "zorevane"), SubgraphNode("C0000002", "<pleural> effusion")
    svg_text = draw_subgraph("Can zorevane treat it?", [zorevane], [SubgraphEdge(zorevane, "may_treat", effusion)])
    drawn_texts = [element.text for element in ElementTree.fromstring(svg_text).iter(f"{SVG}text")]  # noqa: S314  our own
    assert drawn_texts == ["Can zorevane treat it?", "may_treat", "zorevane", "<pleural> effusion"]
    assert "says nothing" in draw_subgraph("?", [], [])


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    write_drawing(tmp_path / "a.svg", "?", [], [])
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(InputError, match="its folder does not exist"):
        write_drawing(tmp_path / "none" / "a.svg", "?", [], [])
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["a.svg"]
