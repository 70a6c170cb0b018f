"""What the graph knows, as arrays for training: images, concepts, stances, relations; and its controls.

The controls tell what an improvement is due to: `without_edges` knows nothing, `shuffled` knows as much of the wrong
images and concepts, `without_stance` knows what reports mention and not what they say of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kgplatform import queries
from kgplatform.construct.semantic_types import are_anatomy
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.schema import Stance
from kgplatform.trained_on import TrainedOn, TrainingImage, from_images

Ids = NDArray[np.int64]
STANCES: Final = (Stance.POSITIVE.value, Stance.UNCERTAIN.value, Stance.NEGATIVE.value)
POSITIVE, UNCERTAIN, NEGATIVE = range(3)
EXCHANGES: Final = 10  # for each edge, when a graph is shuffled


@dataclass(frozen=True)
class GraphImage:
    """An image of the graph: its id, its path below the data set's folder, whose it is."""

    id: str
    path: str = ""
    dataset: str = ""
    study: str = ""
    subject: str = ""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Stances (image, stance, concept), shape (n, 3), and relations (head, relation, tail), shape (m, 3).

    Columns are places in `images`, `STANCES`, `concepts`, `relation_names`; `cuis[i]` is that of the concept i.
    """

    images: Sequence[GraphImage]
    cuis: Sequence[str]
    concepts: Sequence[str]
    relation_names: Sequence[str]
    stances: Ids
    relations: Ids

    @property
    def sha256(self) -> str:
        """The hash of all of it."""
        digest = hashlib.sha256()
        name_lists = ([image.id for image in self.images], self.cuis, self.concepts, self.relation_names)
        for name_list in name_lists:
            digest.update("\0".join(name_list).encode() + b"\1")
        for edge_ids in (self.stances, self.relations):
            digest.update(np.ascontiguousarray(edge_ids, dtype="<i8").tobytes() + b"\1")
        return digest.hexdigest()

    def images_by_concept(self, stance: int) -> dict[int, Ids]:
        """By concept: the images with that stance to it."""
        stance_rows = self.stances[self.stances[:, 1] == stance]
        stance_rows = stance_rows[np.argsort(stance_rows[:, 2], kind="stable")]
        concept_indices, group_starts = np.unique(stance_rows[:, 2], return_index=True)
        images_by_concept = np.split(stance_rows[:, 0], group_starts[1:])
        return (
            {
                int(concept): concept_images
                for concept, concept_images in zip(concept_indices.tolist(), images_by_concept, strict=True)
            }
            if len(stance_rows)
            else {}
        )

    def image_sources(self) -> TrainedOn:
        """The data sets of its images, for the record of a model that was trained on them."""
        return from_images(TrainingImage(image.dataset, image.id, image.subject) for image in self.images)

    def without_edges(self) -> Knowledge:
        """The empty graph: a control."""
        no_edges = np.empty((0, 3), dtype=np.int64)
        return replace(self, stances=no_edges, relations=no_edges)

    def shuffled(self, seed: int) -> Knowledge:
        """As many edges of each kind, their heads and tails exchanged by chance: a control.

        Every image keeps its number of stances of each kind, every concept its number of images and of relations.
        """
        rng = np.random.default_rng(seed)
        return replace(self, stances=_rewired(self.stances, rng), relations=_rewired(self.relations, rng, loops=False))

    def without_stance(self) -> Knowledge:
        """Every mention as if it were POSITIVE: the ablation."""
        positive_stances = self.stances.copy()
        positive_stances[:, 1] = POSITIVE
        return replace(self, stances=np.unique(positive_stances, axis=0))

    def select_images(self, keeps_image: Callable[[GraphImage], bool]) -> Knowledge:
        """The graph with these images only."""
        is_retained = np.array([keeps_image(image) for image in self.images], dtype=bool)
        new_indices = np.cumsum(is_retained) - 1
        stance_rows = self.stances[is_retained[self.stances[:, 0]]].copy()
        stance_rows[:, 0] = new_indices[stance_rows[:, 0]]
        return replace(
            self,
            images=[image for image, keeps_image in zip(self.images, is_retained, strict=True) if keeps_image],
            stances=stance_rows,
        )


def read_images(graph: Graph) -> list[GraphImage]:
    """The images with a stance in the graph in Neo4j, by id."""
    image_rows: list[dict[str, str | None]] = list(graph.read(queries.get("datasets/images")))
    field_names = ("id", "path", "dataset", "study", "subject")
    return [GraphImage(*(image_row[field_name] or "" for field_name in field_names)) for image_row in image_rows]


def read_anatomy(graph: Graph) -> frozenset[str]:
    """The CUIs of concepts with a stance that are parts of the body, and nothing else, as far as the graph states."""
    rows = graph.read(queries.get("datasets/concept_types"))
    return frozenset(str(row["cui"]) for row in rows if are_anatomy(tuple(row["types"])))


def read_knowledge(graph: Graph) -> Knowledge:
    """All that the graph in Neo4j knows of images and concepts.

    Raises `InputError` for a graph without stances.
    """
    images = read_images(graph)
    if not images:
        raise InputError("the graph has no image with a concept", "Load one: kgp construct run, kgp ingest medmkg.")
    concept_rows = list(graph.read(queries.get("datasets/concepts")))
    cuis = [str(graph_row["cui"]) for graph_row in concept_rows]
    relation_rows = list(graph.read(queries.get("datasets/relations")))
    relation_types = sorted({str(graph_row["relation"]) for graph_row in relation_rows})
    index_maps = [
        {entry_name: position for position, entry_name in enumerate(name_list)}
        for name_list in ([graph_image.id for graph_image in images], cuis, relation_types)
    ]
    image_index, concept_index, relation_index = index_maps
    stance_index = {entry_name: position for position, entry_name in enumerate(STANCES)}
    stance_triples = [
        (image_index[graph_row["image"]], stance_index[graph_row["stance"]], concept_index[graph_row["cui"]])
        for graph_row in graph.read(queries.get("datasets/stances"))
    ]
    relation_triples = [
        (concept_index[graph_row["head"]], relation_index[graph_row["relation"]], concept_index[graph_row["tail"]])
        for graph_row in relation_rows
    ]
    return Knowledge(
        images,
        cuis,
        [str(graph_row["name"]) for graph_row in concept_rows],
        relation_types,
        _array(stance_triples),
        _array(relation_triples),
    )


def _array(triple_rows: Iterable[tuple[int, int, int]]) -> Ids:
    return np.array(list(triple_rows), dtype=np.int64).reshape(-1, 3)


def _rewired(edges: Ids, rng: np.random.Generator, *, loops: bool = True) -> Ids:
    """Edges of the same kind, drawn by chance two at a time, exchange their tails, `EXCHANGES` times as often as there
    are edges; not where a pair of head and tail would come to stand twice, with whichever kind, or, without `loops`, an
    edge would lead from a node to itself.

    So no edge is lost, no new contradiction made, and each head and each tail keeps its number of edges of each kind.
    """
    edge_rows = edges.tolist()
    edge_counts = Counter((head, tail) for head, _, tail in edge_rows)
    for kind in np.unique(edges[:, 1]).tolist():
        kind_edges = np.flatnonzero(edges[:, 1] == kind)
        exchanged_pairs = kind_edges[rng.integers(len(kind_edges), size=(EXCHANGES * len(kind_edges), 2))].tolist()
        for first_index, second_index in exchanged_pairs:
            (first_head, _, first_tail), (second_head, _, second_tail) = edge_rows[first_index], edge_rows[second_index]
            if (
                first_head == second_head
                or first_tail == second_tail
                or (first_head, second_tail) in edge_counts
                or (second_head, first_tail) in edge_counts
                or (not loops and (first_head == second_tail or second_head == first_tail))
            ):
                continue
            for edge_pair in ((first_head, first_tail), (second_head, second_tail)):
                edge_counts[edge_pair] -= 1
                if not edge_counts[edge_pair]:
                    del edge_counts[edge_pair]
            edge_counts[first_head, second_tail] = edge_counts[second_head, first_tail] = 1
            edge_rows[first_index], edge_rows[second_index] = (
                [first_head, kind, second_tail],
                [second_head, kind, first_tail],
            )
    return np.array(edge_rows, dtype=np.int64).reshape(-1, 3)
