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
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.schema import Stance

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
        named = ([image.id for image in self.images], self.cuis, self.concepts, self.relation_names)
        for names in named:
            digest.update("\0".join(names).encode() + b"\1")
        for ids in (self.stances, self.relations):
            digest.update(np.ascontiguousarray(ids, dtype="<i8").tobytes() + b"\1")
        return digest.hexdigest()

    def images_of(self, stance: int) -> dict[int, Ids]:
        """By concept: the images with that stance to it."""
        rows = self.stances[self.stances[:, 1] == stance]
        rows = rows[np.argsort(rows[:, 2], kind="stable")]
        found, starts = np.unique(rows[:, 2], return_index=True)
        parts = np.split(rows[:, 0], starts[1:])
        return (
            {int(concept): images for concept, images in zip(found.tolist(), parts, strict=True)} if len(rows) else {}
        )

    def without_edges(self) -> Knowledge:
        """The empty graph: a control."""
        none = np.empty((0, 3), dtype=np.int64)
        return replace(self, stances=none, relations=none)

    def shuffled(self, seed: int) -> Knowledge:
        """As many edges of each kind, their heads and tails exchanged by chance: a control.

        Every image keeps its number of stances of each kind, every concept its number of images and of relations.
        """
        rng = np.random.default_rng(seed)
        return replace(self, stances=_rewired(self.stances, rng), relations=_rewired(self.relations, rng, loops=False))

    def without_stance(self) -> Knowledge:
        """Every mention as if it were POSITIVE: the ablation."""
        plain = self.stances.copy()
        plain[:, 1] = POSITIVE
        return replace(self, stances=np.unique(plain, axis=0))

    def of_images(self, wanted: Callable[[GraphImage], bool]) -> Knowledge:
        """The graph with these images only."""
        kept = np.array([wanted(image) for image in self.images], dtype=bool)
        places = np.cumsum(kept) - 1
        rows = self.stances[kept[self.stances[:, 0]]].copy()
        rows[:, 0] = places[rows[:, 0]]
        return replace(self, images=[image for image, yes in zip(self.images, kept, strict=True) if yes], stances=rows)


def read_images(graph: Graph) -> list[GraphImage]:
    """The images with a stance in the graph in Neo4j, by id."""
    given: list[dict[str, str | None]] = list(graph.read(queries.get("retrieval/images")))
    names = ("id", "path", "dataset", "study", "subject")
    return [GraphImage(*(row[name] or "" for name in names)) for row in given]


def read_knowledge(graph: Graph) -> Knowledge:
    """All that the graph in Neo4j knows of images and concepts.

    Raises `InputError` for a graph without stances.
    """
    images = read_images(graph)
    if not images:
        raise InputError("the graph has no image with a concept", "Load one: kgp construct run, kgp ingest medmkg.")
    concepts = list(graph.read(queries.get("retrieval/concepts")))
    cuis = [str(row["cui"]) for row in concepts]
    relations = list(graph.read(queries.get("retrieval/relations")))
    types = sorted({str(row["relation"]) for row in relations})
    places = [{name: place for place, name in enumerate(of)} for of in ([i.id for i in images], cuis, types)]
    image, concept, relation = places
    stance = {name: place for place, name in enumerate(STANCES)}
    stances = [
        (image[row["image"]], stance[row["stance"]], concept[row["cui"]])
        for row in graph.read(queries.get("retrieval/stances"))
    ]
    related = [(concept[row["head"]], relation[row["relation"]], concept[row["tail"]]) for row in relations]
    return Knowledge(images, cuis, [str(row["name"]) for row in concepts], types, _array(stances), _array(related))


def _array(rows: Iterable[tuple[int, int, int]]) -> Ids:
    return np.array(list(rows), dtype=np.int64).reshape(-1, 3)


def _rewired(edges: Ids, rng: np.random.Generator, *, loops: bool = True) -> Ids:
    """Edges of the same kind, drawn by chance two at a time, exchange their tails, `EXCHANGES` times as often as there
    are edges; not where a pair of head and tail would come to stand twice, with whichever kind, or, without `loops`, an
    edge would lead from a node to itself.

    So no edge is lost, no new contradiction made, and each head and each tail keeps its number of edges of each kind.
    """
    rows = edges.tolist()
    taken = Counter((head, tail) for head, _, tail in rows)
    for kind in np.unique(edges[:, 1]).tolist():
        those = np.flatnonzero(edges[:, 1] == kind)
        drawn = those[rng.integers(len(those), size=(EXCHANGES * len(those), 2))].tolist()
        for one, other in drawn:
            (a, _, x), (b, _, y) = rows[one], rows[other]
            if a == b or x == y or (a, y) in taken or (b, x) in taken or (not loops and (a == y or b == x)):
                continue
            for pair in ((a, x), (b, y)):
                taken[pair] -= 1
                if not taken[pair]:
                    del taken[pair]
            taken[a, y] = taken[b, x] = 1
            rows[one], rows[other] = [a, kind, y], [b, kind, x]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
