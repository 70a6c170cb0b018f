"""RadGraph-F1: how alike the graph of a prediction and that of its reference are, with labels. From 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from kgplatform.triplets.metrics import Key, Result, count_shared, exact_key, pair_documents
from kgplatform.triplets.text import Triplet


class LabelledEntity(NamedTuple):
    """An entity of a graph; the label has its kind and presence (``OBS-DP``), or is empty."""

    text: str
    label: str


class EntityRelation(NamedTuple):
    """A relation between two of the graph's entities, by their places."""

    head: int
    relation: str
    tail: int


class LabelledGraph(NamedTuple):
    """The entities of one report, the same text perhaps more than once, and their relations."""

    nodes: tuple[LabelledEntity, ...]
    links: tuple[EntityRelation, ...]


@dataclass(frozen=True)
class RadGraphF1(Result):
    """Means over documents of the F1 of what is compared at each level. See `radgraph_f1`."""

    simple: float
    partial: float
    complete: float
    combined: float


def unlabelled(triplets: Iterable[Triplet]) -> LabelledGraph:
    """Triplets as a graph for `radgraph_f1`: equal text is one entity, all labels are empty.

    So scored, `simple` is the entities' F1; a wrong presence costs nothing, and an entity without a relation is unseen:
    the figures are not comparable with those of labelled graphs.
    """
    triplet_list = list(triplets)
    node_indices: dict[str, int] = {}
    for head, _, tail in triplet_list:
        node_indices.setdefault(head, len(node_indices))
        node_indices.setdefault(tail, len(node_indices))
    links = tuple(
        EntityRelation(node_indices[head], str(relation), node_indices[tail]) for head, relation, tail in triplet_list
    )
    return LabelledGraph(tuple(LabelledEntity(entity_text, "") for entity_text in node_indices), links)


def radgraph_f1(
    predicted: Sequence[LabelledGraph], references: Sequence[LabelledGraph], key: Key = exact_key
) -> RadGraphF1:
    """RadGraph-F1: the F1 of each document's sets, then the mean. `key` maps an entity's text to what is compared.

    - simple: (text, label) of each entity;
    - partial: also whether it has a relation going out (the RadGraph reward of Delbrouck et al. 2022, RG_ER);
    - complete: (text, label, relation, text of the tail) for each relation, and (text, label) of entities with none;
    - combined: the mean of the F1 of entities and of relations with both labels (Yu et al. 2023).

    Two graphs of no entities have 1 here (0 in both papers' code); so have, in `combined`, two with no relations.
    Raises `ValueError` for no documents.
    """
    levels: list[list[float]] = []
    for prediction, reference in pair_documents(predicted, references):
        predicted_sets, reference_sets = _elements(prediction, key), _elements(reference, key)
        simple, partial, complete, linked = (
            count_shared(predicted_set, reference_set).f1
            for predicted_set, reference_set in zip(predicted_sets, reference_sets, strict=True)
        )
        levels.append([simple, partial, complete, (simple + linked) / 2])
    return RadGraphF1(*(fmean(level_scores) for level_scores in zip(*levels, strict=True)))


def _elements(graph: LabelledGraph, key: Key) -> list[set[tuple[object, ...]]]:
    """What is compared of a graph: for simple, partial and complete, and its relations."""
    nodes = [(key(entity_text), label) for entity_text, label in graph.nodes]
    heads = {link.head for link in graph.links}
    unlinked = {node for node_index, node in enumerate(nodes) if node_index not in heads}
    return [
        set(nodes),
        {(*node, node_index in heads) for node_index, node in enumerate(nodes)},
        unlinked | {(*nodes[head], relation, nodes[tail][0]) for head, relation, tail in graph.links},
        {(nodes[head], relation, nodes[tail]) for head, relation, tail in graph.links},
    ]
