"""The side-by-side view: colours of right, wrong and missing; nothing overlaps; nothing gets out of its text."""

from __future__ import annotations

import io
import re
import sys
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.generation.figure import COLOURS, MAX_SIDE, MAX_TRIPLETS, MatchState, Panel, compare, to_html, to_png
from benchmarks.generation.figure_layout import LayoutEdge, TextBox, lay_out
from kgplatform.errors import SettingsError
from kgplatform.triplets.text import Relation, Triplet

REFERENCE = (
    Triplet("small", Relation.MODIFY, "effusion"),
    Triplet("effusion", Relation.LOCATED_AT, "pleura"),
    Triplet("patchy", Relation.MODIFY, "opacity"),
)
SYSTEM = (
    Triplet("small", Relation.MODIFY, "effusion"),
    Triplet("effusion", Relation.SUGGESTIVE_OF, "pneumonia"),
    Triplet("patchy", Relation.LOCATED_AT, "opacity"),
)
BLACK, RED, GREY = COLOURS[MatchState.RIGHT], COLOURS[MatchState.WRONG], COLOURS[MatchState.MISSING]

entities = st.sampled_from(
    ["heart", "left lung", "effusion", "opacity", "a long name of something " * 3, "pleura", "x"]
)
edges = st.lists(
    st.builds(LayoutEdge, entities, st.sampled_from([relation.value for relation in Relation]), entities), max_size=25
)


def system(reference: tuple[Triplet, ...] = REFERENCE, predicted: tuple[Triplet, ...] = SYSTEM) -> Panel:
    return compare(reference, {"system": predicted})[1]


def drawings(page: str) -> list[ElementTree.Element]:
    """The page's drawings, parsed strictly, without the legend's."""
    svg_texts = re.findall(r"<svg [^>]*role=.*?</svg>", page, flags=re.DOTALL)
    return [ElementTree.fromstring(svg_text) for svg_text in svg_texts]  # noqa: S314 - we wrote it


def group(drawing: ElementTree.Element, title: str) -> ElementTree.Element:
    """A triplet's elements, by its tooltip."""
    (element,) = [candidate for candidate in drawing.iter("g") if candidate.findtext("title") == title]
    return element


def test_the_reference_comes_first_and_is_right() -> None:
    reference, _ = compare(REFERENCE, {"system": SYSTEM})
    assert (reference.name, reference.counts, reference.caption) == ("reference", None, "3 triplets")
    assert set(reference.states) == set(reference.entities.values()) == {MatchState.RIGHT}


def test_a_system_has_what_is_right_then_missing_then_wrong() -> None:
    panel = system()
    assert dict(zip(panel.edges, panel.states, strict=True)) == {
        LayoutEdge("small", "modify", "effusion"): MatchState.RIGHT,
        LayoutEdge("effusion", "located_at", "pleura"): MatchState.MISSING,
        LayoutEdge("patchy", "modify", "opacity"): MatchState.MISSING,
        LayoutEdge("effusion", "suggestive_of", "pneumonia"): MatchState.WRONG,
        LayoutEdge("patchy", "located_at", "opacity"): MatchState.WRONG,
    }
    assert panel.caption == "P 0.33   R 0.33   F1 0.33   (1 correct, 2 wrong, 2 missing)"


def test_an_entity_is_right_though_its_triplet_is_wrong() -> None:
    assert system().entities == {
        "small": MatchState.RIGHT,
        "effusion": MatchState.RIGHT,
        "pleura": MatchState.MISSING,
        "patchy": MatchState.RIGHT,
        "opacity": MatchState.RIGHT,
        "pneumonia": MatchState.WRONG,
    }


def test_entities_of_one_key_are_one_box_with_the_systems_text() -> None:
    predicted = (Triplet("small", Relation.MODIFY, "fluid"),)
    panel = compare(REFERENCE[:2], {"s": predicted}, _concept)[1]
    assert panel.texts["C1"] == "fluid"
    assert panel.states == (MatchState.RIGHT, MatchState.MISSING)
    assert panel.counts == (1, 1, 2)


def _concept(entity: str) -> str:
    return {"fluid": "C1", "effusion": "C1"}.get(entity, entity)


def test_colours_of_right_wrong_and_missing() -> None:
    _, drawing = drawings(to_html("study", compare(REFERENCE, {"system": SYSTEM})))
    for title, colour, is_dashed in (
        ("small, modify, effusion (correct)", BLACK, False),
        ("effusion, suggestive_of, pneumonia (wrong)", RED, False),
        ("effusion, located_at, pleura (missing)", GREY, True),
    ):
        element = group(drawing, title)
        line_path, arrowhead, relation_name = element.find("path"), element.find("polygon"), element.find("text")
        assert line_path is not None and arrowhead is not None and relation_name is not None
        assert (line_path.get("stroke"), arrowhead.get("fill"), relation_name.get("fill")) == (colour, colour, colour)
        assert ("stroke-dasharray" in line_path.attrib) is is_dashed


def test_the_page_has_a_legend_and_each_systems_scores() -> None:
    page = to_html("s1", compare(REFERENCE, {"first": SYSTEM, "second": REFERENCE, "third": ()}))
    for page_text in ("correct</li>", "wrong</li>", "missing</li>", "F1 0.33", "F1 1.00", "F1 0.00", "<b>second</b>"):
        assert page_text in page
    assert len(drawings(page)) == 4


def test_what_a_model_says_stays_text() -> None:
    hostile_text = '<script>alert("1")</script>\x00\ud800 & \'"><img src=x onerror=y>'
    triplet = Triplet(hostile_text, Relation.MODIFY, hostile_text + "!")
    page = to_html(hostile_text, compare((triplet,), {hostile_text: (triplet,)}))
    assert not re.search(r"<(script|img)", page)
    assert "\x00" not in page
    assert "&lt;script&gt;" in page
    page.encode("utf-8")
    assert len(drawings(page)) == 2
    to_png(hostile_text, compare((triplet,), {hostile_text: (triplet,)}))


def test_the_page_loads_nothing() -> None:
    page = to_html("s1", compare(REFERENCE, {"system": SYSTEM}))
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)


def test_the_same_input_gives_the_same_bytes() -> None:
    panels = [compare(REFERENCE, {"system": SYSTEM}) for _ in range(2)]
    assert to_html("s1", panels[0]) == to_html("s1", panels[1])
    assert to_png("s1", panels[0]) == to_png("s1", panels[1])


def test_the_picture_opens_and_is_as_wide_as_its_panels() -> None:
    narrow_image, wide_image = (
        Image.open(io.BytesIO(to_png("s1", compare(REFERENCE, systems))))
        for systems in ({"a": SYSTEM}, {"a": SYSTEM, "b": SYSTEM})
    )
    assert narrow_image.format == "PNG"
    layouts = [lay_out(panel.edges, panel.texts) for panel in compare(REFERENCE, {"a": SYSTEM})]
    assert (
        narrow_image.height == wide_image.height == 2 * round(56 + 56 + max(layout.height for layout in layouts) + 16)
    )
    assert wide_image.width > narrow_image.width >= 2 * sum(layout.width for layout in layouts)


def test_the_picture_has_the_colours() -> None:
    png_image = Image.open(io.BytesIO(to_png("s1", compare(REFERENCE, {"a": SYSTEM})))).convert("RGB")
    image_colours = {colour for _, colour in png_image.getcolors(1 << 20) or []}
    assert {tuple(bytes.fromhex(colour[1:])) for colour in (BLACK, RED, GREY)} <= image_colours


def test_empty_graphs_are_drawn() -> None:
    panels = compare((), {"nothing": ()})
    assert panels[1].caption == "P 1.00   R 1.00   F1 1.00   (0 correct, 0 wrong, 0 missing)"
    assert len(drawings(to_html("s1", panels))) == 2
    assert Image.open(io.BytesIO(to_png("s1", panels))).width >= 720


def test_a_flood_of_triplets_is_cut_but_counted() -> None:
    many_triplets = tuple(Triplet(f"entity {number}", Relation.MODIFY, f"entity {number + 1}") for number in range(500))
    panel = system(REFERENCE, many_triplets)
    assert len(panel.edges) == MAX_TRIPLETS
    assert panel.counts == (0, 500, 3)
    assert panel.caption.endswith(f"; {503 - MAX_TRIPLETS} not drawn")
    png_image = Image.open(io.BytesIO(to_png("s1", [panel])))
    assert max(png_image.size) <= MAX_SIDE


def test_letters_without_a_glyph_and_formulas_are_drawn() -> None:
    odd_triplets = (Triplet("胸腔积液", Relation.MODIFY, r"$\frac{1}{2}$ $x"),)
    png_image = Image.open(io.BytesIO(to_png("s1", compare(odd_triplets, {"a": odd_triplets})))).convert("L")
    darkest, brightest = png_image.getextrema()
    assert (darkest, brightest) == (0, 255), "letters on a page"


def test_a_picture_needs_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match="this needs matplotlib, which is not installed"):
        to_png("s1", compare(REFERENCE, {}))


# Layout


def overlap(first: TextBox, second: TextBox) -> bool:
    return (
        first.left < second.left + second.width
        and second.left < first.left + first.width
        and first.top < second.top + second.height
        and second.top < first.top + first.height
    )


@pytest.mark.slow
@given(edges)
def test_no_box_and_no_name_overlaps_another(some: list[LayoutEdge]) -> None:
    layout = lay_out(some, {entity: entity for edge in some for entity in (edge.head, edge.tail)})
    layout_boxes = [*layout.boxes.values(), *(line.name for line in layout.lines)]
    assert not any(overlap(first_box, second_box) for first_box, second_box in combinations(layout_boxes, 2))
    for layout_box in layout_boxes:
        assert layout_box.left >= -1e-6 and layout_box.left + layout_box.width <= layout.width + 1e-6
        assert layout_box.top >= -1e-6 and layout_box.top + layout_box.height <= layout.height + 1e-6


@given(edges)
def test_every_arrow_points_at_its_tail(some: list[LayoutEdge]) -> None:
    layout = lay_out(some, {entity: entity for edge in some for entity in (edge.head, edge.tail)})
    for edge, line in zip(some, layout.lines, strict=True):
        tail_box = layout.boxes[edge.tail]
        assert line.x == pytest.approx(tail_box.left if line.rightwards else tail_box.left + tail_box.width)
        assert tail_box.top <= line.y <= tail_box.top + tail_box.height
        for first_wire, second_wire in pairwise(line.wires):  # the name, or nothing, stands between two
            assert first_wire.y1 == second_wire.y0
            assert second_wire.x0 - first_wire.x3 == pytest.approx(
                0
            ) or second_wire.x0 - first_wire.x3 == pytest.approx(line.name.width)


def test_tails_stand_right_of_heads_where_there_is_no_cycle() -> None:
    chain_edges = [
        LayoutEdge("a", "modify", "b"),
        LayoutEdge("b", "modify", "c"),
        LayoutEdge("a", "modify", "c"),
        LayoutEdge("d", "modify", "c"),
    ]
    layout = lay_out(chain_edges, {entity: entity for entity in "abcd"})
    assert all(layout.boxes[edge.head].left < layout.boxes[edge.tail].left for edge in chain_edges)
    assert all(line.rightwards for line in layout.lines)
    assert layout.boxes["d"].left == layout.boxes["b"].left  # close to its tail


def test_a_line_back_in_a_cycle_points_left() -> None:
    layout = lay_out(
        [LayoutEdge("a", "modify", "b"), LayoutEdge("b", "modify", "a"), LayoutEdge("a", "modify", "a")],
        {"a": "a", "b": "b"},
    )
    assert [line.rightwards for line in layout.lines] == [True, False, False]


def test_components_stand_under_each_other_in_order() -> None:
    component_edges = [LayoutEdge("a", "modify", "b"), LayoutEdge("c", "modify", "d"), LayoutEdge("e", "modify", "b")]
    layout = lay_out(component_edges, {entity: entity for entity in "abcde"})
    assert max(layout.boxes[entity].top for entity in "abe") < layout.boxes["c"].top
