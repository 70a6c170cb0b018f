"""Searches of a constructed graph whose edges state the attributes of findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kgplatform.errors import UsageError
from kgplatform.graph import Graph
from kgplatform.schema import Stance
from kgplatform.search.attribute_ranking import NOTHING_STATED
from kgplatform.search.embed import embed
from kgplatform.search.index import Part
from tests.integration import embedded_graphs
from tests.integration.constructed_graphs import construct_reports, embed_studies
from tests.integration.drawn_images import without_indexes
from tests.integration.embedded_graphs import Fake
from tests.integration.searchable_graphs import FAKE, cosines, search_images

pytestmark = pytest.mark.server
fake_embedding_kgp = embedded_graphs.fake_embedding_kgp

REPORTS = {
    "large-left": "Large left pleural effusion.",
    "severe-both": "Large bilateral pleural effusions.",
    "left": "Left pleural effusion.",
    "plain": "Pleural effusion.",
    "plain-2": "There is a pleural effusion.",
    "small-left": "Small left pleural effusion.",
    "large-right": "Large right pleural effusion.",
    "small-right": "Small right pleural effusion. No left pleural effusion.",
    "absent": "No pleural effusion.",
    "no-large": "No large pleural effusion.",
    "unchanged": "Unchanged small right pleural effusion. No large pneumothorax.",
    "base": "Worsening opacity at the left base.",
    "normal": "Cardiomegaly.",
}
TIERS = [
    ["large-left", "severe-both"],
    ["left"],
    ["plain", "plain-2"],
    ["small-left", "large-right"],  # one agrees, another contradicts
    ["small-right", "unchanged"],
]


class Constructed(NamedTuple):
    graph: Graph
    images: dict[str, str]
    studies: dict[str, str]

    def study_names(self, text: str = "", **options: Any) -> list[str]:
        """The studies of the hits."""
        search_result = search_images(self.graph, text, **{"top": 20, **options})
        hits = search_result.hits
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
        return [self.studies[hit.id] for hit in hits]


@pytest.fixture
def constructed(graph: Graph, tmp_path: Path) -> Iterator[Constructed]:
    images = construct_reports(without_indexes(graph), tmp_path, REPORTS)
    embed_studies(graph, images, FAKE)
    yield Constructed(graph, images, {image: study for study, image in images.items()})
    without_indexes(graph)


def _most_similar_first(constructed: Constructed, text: str, studies: list[str]) -> list[str]:
    similarities = cosines(constructed.graph, text)
    return sorted(studies, key=lambda study: -similarities[constructed.images[study]])


def test_images_whose_edges_agree_come_first_and_contradicting_ones_last(constructed: Constructed) -> None:
    text = "large left pleural effusion"
    expected = [study for tier in TIERS for study in _most_similar_first(constructed, text, tier)]
    others = [study for study in REPORTS if study not in expected]
    expected += _most_similar_first(constructed, text, others)
    assert constructed.study_names(text) == expected
    assert constructed.study_names(text, top=4) == expected[:4]
    result = search_images(constructed.graph, text, top=20)
    [finding] = result.understood
    assert str(finding) == "Pleural effusion (C0032227): severity large or severe, side left or bilateral"
    edges = {constructed.studies[hit.id]: hit.edges for hit in result.hits}
    assert edges["severe-both"][0].agreeing == ("severity", "side")
    assert edges["large-right"][0].attributes == {"severity": "large", "side": "right"}
    assert edges["large-right"][0].contradicting == ("side",)
    assert edges["plain"][0].attributes == {}
    assert edges["normal"] == ()


def test_a_text_without_attributes_is_searched_as_before(constructed: Constructed) -> None:
    for text in ("pleural effusion", "enlarged heart", "no large pleural effusion"):
        result = search_images(constructed.graph, text, top=20)
        assert [constructed.studies[hit.id] for hit in result.hits] == _most_similar_first(
            constructed, text, list(REPORTS)
        )
        assert (result.understood, {hit.edges for hit in result.hits}) == ((), {()})


REQUIRED: list[tuple[dict[str, Any], set[str]]] = [
    ({"side": "left"}, {"large-left", "severe-both", "left", "small-left"}),  # bilateral is left, too
    ({"side": "bilateral"}, {"severe-both"}),
    ({"severity": "large"}, {"large-left", "severe-both", "large-right"}),
    ({"side": "right", "severity": "small"}, {"small-right", "unchanged"}),
    ({"change": "unchanged"}, {"unchanged"}),
    ({"location": "base"}, set()),
    ({"side": "left", "stance": Stance.NEGATIVE}, {"small-right"}),
    ({"severity": "large", "stance": Stance.NEGATIVE}, {"no-large"}),
    ({"side": "right", "without": ["pleural effusion"]}, set()),
]


@pytest.mark.parametrize("text", ["", "a finding"])
def test_options_require_attributes_of_the_concepts(constructed: Constructed, text: str) -> None:
    for options, expected in REQUIRED:
        assert set(constructed.study_names(text, concepts=["pleural effusion"], **options)) == expected, options


def test_without_concepts_options_are_about_the_findings_of_the_text(constructed: Constructed) -> None:
    assert constructed.study_names("opacity", location="base") == ["base"]
    on_the_right = {"severe-both", "large-right", "small-right", "unchanged"}
    assert set(constructed.study_names("pleural effusion", side="right")) == on_the_right
    large_first = constructed.study_names("large pleural effusion", side="right")
    assert set(large_first[:2]) == {"severe-both", "large-right"}
    assert set(large_first) == on_the_right
    for text in ("", "qwertz", "no pleural effusion"):
        with pytest.raises(UsageError):
            search_images(constructed.graph, text, side="left")
    with pytest.raises(UsageError, match="no finding has the location nowhere"):
        search_images(constructed.graph, "opacity", location="nowhere")


def test_attributes_of_a_text_hold_together_with_concepts_and_stances(constructed: Constructed) -> None:
    negative: dict[str, Any] = {"concepts": ["pleural effusion"], "stance": Stance.NEGATIVE}
    assert constructed.study_names("large pleural effusion", **negative)[0] == "no-large"
    assert set(constructed.study_names("large pleural effusion", **negative)) == {"no-large", "absent", "small-right"}
    assert constructed.study_names("on the left", **negative)[0] == "small-right"
    first, *others = constructed.study_names("worsening on the left", concepts=["opacity"])
    assert (first, others) == ("base", [])
    without = constructed.study_names("large left pleural effusion", without=["pleural effusion"])
    assert set(without) == {"absent", "no-large", "base", "normal"}
    pneumothorax: dict[str, Any] = {"concepts": ["pneumothorax"], "stance": Stance.NEGATIVE}
    assert constructed.study_names("small right pleural effusion", **pneumothorax) == ["unchanged"]


def test_two_findings_count_together(constructed: Constructed) -> None:
    text = "small right pleural effusion and worsening left basilar opacity"
    assert set(constructed.study_names(text, top=3)) == {"small-right", "unchanged", "base"}


def test_by_concepts_images_whose_edges_agree_come_first(constructed: Constructed) -> None:
    embed(constructed.graph, FAKE, only=Part.CONCEPTS)
    names = constructed.study_names("large left pleural effusion", by=Part.CONCEPTS)
    assert set(names[:2]) == {"large-left", "severe-both"}
    assert set(names[-2:]) <= {"small-right", "unchanged", "normal", "base"}
    by_options = constructed.study_names("pleural effusion", by=Part.CONCEPTS, side="left", severity="large")
    assert set(by_options) == {"large-left", "severe-both"}


def test_a_graph_without_attributes_says_so(graph: Graph, tmp_path: Path) -> None:
    images = construct_reports(without_indexes(graph), tmp_path, {"a": "Pleural effusion.", "b": "Cardiomegaly."})
    embed_studies(graph, images, FAKE)
    before = search_images(graph, "pleural effusion")
    result = search_images(graph, "large left pleural effusion")
    assert NOTHING_STATED in result.notes
    assert NOTHING_STATED not in before.notes
    assert (result.understood, len(result.hits)) == ((), 2)
    required = search_images(graph, "pleural effusion", side="left")
    assert (required.hits, required.notes[-1]) == ((), NOTHING_STATED)
    construct_reports(graph, tmp_path, {"c": "Large pneumothorax."}, name="other")
    note = search_images(graph, "large pleural effusion").notes[-1]
    assert note.startswith("no edge to Pleural effusion states its side")
    without_indexes(graph)


def test_the_command_prints_what_was_understood_and_what_edges_state(
    constructed: Constructed, fake_embedding_kgp: Fake
) -> None:
    completed = fake_embedding_kgp("search", "large left pleural effusion")
    assert completed.code == 0, completed.err
    understood, header, _, first_line, *lines = completed.out.splitlines()
    assert understood == "understood: Pleural effusion (C0032227): severity large or severe, side left or bilateral"
    assert header.split() == ["rank", "id", "similarity", "naf", "path", "stated", "agrees", "concepts"]
    assert "2 of 2" in first_line
    assert any("1 of 2, not side" in line for line in lines)
    document = fake_embedding_kgp("search", "large left pleural effusion", "--top", 1, "--json").json
    assert document["understood"] == [
        {
            "name": "Pleural effusion",
            "cuis": ["C0032227"],
            "stance": "POSITIVE",
            "attributes": {"severity": ["large", "severe"], "side": ["left", "bilateral"]},
            "required": {},
        }
    ]
    [edge] = document["hits"][0]["edges"]
    assert (edge["agreeing"], edge["contradicting"], edge["cui"]) == (["severity", "side"], [], "C0032227")
    plain_document = fake_embedding_kgp("search", "pleural effusion", "--json").json
    assert "understood" not in plain_document
    assert "edges" not in plain_document["hits"][0]
    by_option = fake_embedding_kgp("search", "--concept", "pleural effusion", "--side", "bilateral", "--json").json
    assert [constructed.studies[hit["id"]] for hit in by_option["hits"]] == ["severe-both"]
    assert by_option["understood"][0]["required"] == {"side": "bilateral"}
    located = fake_embedding_kgp("search", "opacity", "--location", "base", "--change", "worse")
    assert "opacity" in located.out
    assert "agrees" not in located.out
    for arguments in (("--side", "up"), ("--side", "left"), ("x", "--location", "lower lob")):
        refused = fake_embedding_kgp("search", *arguments)
        assert (refused.code, "Traceback" in refused.err) == (2, False), refused.err
