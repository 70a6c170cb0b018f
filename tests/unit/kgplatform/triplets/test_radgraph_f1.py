"""RadGraph F1 of generated triplets, by hand."""

from __future__ import annotations

import pytest

from kgplatform.triplets.metrics import (
    count_entities,
)
from kgplatform.triplets.radgraph_f1 import EntityRelation, LabelledEntity, LabelledGraph, radgraph_f1, unlabelled
from kgplatform.triplets.text import parse_triplets

TRUTH = LabelledGraph(
    (
        LabelledEntity("effusion", "OBS-DP"),
        LabelledEntity("lung", "ANAT-DP"),
        LabelledEntity("left", "ANAT-DP"),
        LabelledEntity("mass", "OBS-DA"),
    ),
    (EntityRelation(0, "located_at", 1), EntityRelation(2, "modify", 1)),
)


def test_radgraph_f1_by_hand() -> None:
    """The mass is called present, and the effusion has another relation to the lung."""
    nodes = (*TRUTH.nodes[:3], LabelledEntity("mass", "OBS-DP"))
    scores = radgraph_f1(
        [LabelledGraph(nodes, (EntityRelation(0, "suggestive_of", 1), EntityRelation(2, "modify", 1)))], [TRUTH]
    )
    assert scores.simple == 3 / 4  # 3 of 4 entities on both sides
    assert scores.partial == 3 / 4  # effusion has a relation, as it should
    assert scores.complete == 2 / 4  # right: left → lung, and lung alone
    assert scores.combined == (3 / 4 + 1 / 2) / 2  # 1 of 2 relations


def test_a_missing_relation_costs_at_the_levels_that_see_it() -> None:
    scores = radgraph_f1([TRUTH._replace(links=TRUTH.links[:1])], [TRUTH])
    assert scores.simple == 1
    assert scores.partial == 3 / 4
    assert scores.complete == 3 / 4
    assert scores.combined == pytest.approx((1 + 2 / 3) / 2)


def test_a_wrong_label_of_the_tail_costs_in_combined_only_through_relations() -> None:
    nodes = (TRUTH.nodes[0], LabelledEntity("lung", "OBS-DP"), *TRUTH.nodes[2:])
    scores = radgraph_f1([LabelledGraph(nodes, TRUTH.links)], [TRUTH])
    assert (scores.simple, scores.partial, scores.complete) == (3 / 4, 3 / 4, 3 / 4)
    assert scores.combined == (3 / 4 + 0) / 2


def test_entities_of_equal_text_are_two_where_only_one_has_a_relation() -> None:
    two_entities = LabelledGraph(
        (LabelledEntity("lung", "A"), LabelledEntity("lung", "A")), (EntityRelation(0, "modify", 1),)
    )
    single_entity = LabelledGraph((LabelledEntity("lung", "A"),), ())
    scores = radgraph_f1([single_entity], [two_entities])
    assert (scores.simple, scores.partial, scores.complete) == (1, 2 / 3, 2 / 3)


def test_radgraph_f1_of_nothing_and_means() -> None:
    empty_graph = LabelledGraph((), ())
    assert set(radgraph_f1([empty_graph], [empty_graph]).as_dict().values()) == {1.0}
    one_sided_scores = radgraph_f1([empty_graph], [TRUTH])
    assert (
        one_sided_scores.simple,
        one_sided_scores.partial,
        one_sided_scores.complete,
        one_sided_scores.combined,
    ) == (0, 0, 0, 0)
    assert radgraph_f1([TRUTH, empty_graph], [TRUTH, TRUTH]).complete == 0.5


def test_radgraph_f1_with_a_key() -> None:
    relabelled = LabelledGraph((LabelledEntity("pleural effusion", "OBS-DP"), *TRUTH.nodes[1:]), TRUTH.links)
    assert radgraph_f1([relabelled], [TRUTH]).simple == 3 / 4
    assert radgraph_f1([relabelled], [TRUTH], lambda entity_text: entity_text.removeprefix("pleural ")).complete == 1


def test_triplets_without_labels_as_a_graph() -> None:
    parsed_triplets = parse_triplets("small, modify, effusion; effusion, located_at, lung").triplets
    assert unlabelled(parsed_triplets) == LabelledGraph(
        (LabelledEntity("small", ""), LabelledEntity("effusion", ""), LabelledEntity("lung", "")),
        (EntityRelation(0, "modify", 1), EntityRelation(1, "located_at", 2)),
    )
    scores = radgraph_f1([unlabelled(parsed_triplets)], [unlabelled(parsed_triplets[:1])])
    assert scores.simple == count_entities(parsed_triplets, parsed_triplets[:1]).f1
