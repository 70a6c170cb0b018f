"""Names that are markup, formulas or control characters: pictures show them as text, and stay valid files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.stats import plot_semantic_types
from kgplatform.vqa.drawing import draw_subgraph
from kgplatform.vqa.live import SubgraphEdge, SubgraphNode

HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]></text><script/>", "&lt;&amp;&#0;",
    "a\x00b\x1b[31m", "$\\frac{$", "$x$ and $", "\\input{secret}", "' onload='", "\u202eevil",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_drawing_of_a_question_is_valid_and_has_names_as_text_alone(name: str) -> None:
    node, image_node = SubgraphNode("C1", name), SubgraphNode(name, "", image=True)
    svg_root = ElementTree.fromstring(  # noqa: S314
        draw_subgraph(
            name, [node], [SubgraphEdge(image_node, name, node), SubgraphEdge(node, name, SubgraphNode("C2", name))]
        )
    )
    assert {element.tag.rpartition("}")[2] for element in svg_root.iter()} <= {
        "svg", "rect", "marker", "path", "text", "circle",
    }  # fmt: skip
    assert not any(attribute.startswith("on") for element in svg_root.iter() for attribute in element.attrib)


@given(st.text())
def test_any_name_makes_a_valid_drawing(name: str) -> None:
    node = SubgraphNode("C1", name)
    ElementTree.fromstring(draw_subgraph(name, [node], [SubgraphEdge(node, name, SubgraphNode("C2", name))]))  # noqa: S314


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_plot_has_names_of_types_as_text(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    type_rows = [
        {"side": side, "semantic_type": type_name, "percent": 5.0} for side in ("head", "tail") for type_name in HOSTILE
    ]
    coverage = [{"side": side, "edges": 10, "typed": 10, "percent": 100.0} for side in ("head", "tail")]
    plot_path = tmp_path / f"plot{suffix}"
    plot_semantic_types(type_rows, coverage, plot_path)
    assert plot_path.stat().st_size > 1000
    if suffix == ".svg":
        tag_names = {element.tag.rpartition("}")[2] for element in ElementTree.parse(plot_path).getroot().iter()}  # noqa: S314
        assert "script" not in tag_names and "img" not in tag_names
