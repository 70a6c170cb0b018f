"""Groups of test triples whose ranks are reported apart: what an average over all would hide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kgplatform.export.splits import Split
from kgplatform.export.triples import Ids
from kgplatform.schema import Stance

MANY = 1.5  # from so many tails a head on, a relation counts as 1-N (Bordes et al. 2013, §4.3)

Rows = NDArray[np.bool_]


def groups(split: Split, part: str = "test") -> dict[str, Rows]:
    """Masks over the triples of `part` by name; groups without a triple are left out.

    ``cross`` joins an image and a concept, ``intra`` does not; each stance; ``1-1``, ``1-N``, ``N-1``, ``N-N`` by what
    training knows of the relation; ``inverse known`` has an edge between the same two entities in training, either way,
    and ``unseen entity`` an end that training has not.
    """
    triples, held, train = split.triples, split.part(part), split.train
    image = triples.kinds == "Image"
    cross = np.logical_xor(image[held[:, 0]], image[held[:, 2]])
    found: dict[str, Rows] = {"cross": cross, "intra": ~cross}
    for stance in Stance:
        if stance.value in triples.relations:
            found[stance.value] = np.isin(held[:, 1], list(triples.relations).index(stance.value))
    kinds = cardinalities(train, triples.num_relations)
    for kind in ("1-1", "1-N", "N-1", "N-N"):
        found[kind] = np.isin(kinds[held[:, 1]], kind)
    n = triples.num_entities
    pairs = np.unique(np.concatenate([train[:, 0] * n + train[:, 2], train[:, 2] * n + train[:, 0]]))
    found["inverse known"] = np.isin(held[:, 0] * n + held[:, 2], pairs)
    seen = np.zeros(n, dtype=bool)
    seen[train[:, [0, 2]].reshape(-1)] = True
    found["unseen entity"] = ~(seen[held[:, 0]] & seen[held[:, 2]])
    return {name: rows for name, rows in found.items() if rows.any()}


def cardinalities(train: Ids, num_relations: int) -> NDArray[np.str_]:
    """Each relation's kind: 1-1, 1-N, N-1 or N-N by the mean number of tails a head and heads a tail; "" if unseen."""
    kinds = np.full(num_relations, "", dtype="<U3")
    for relation in np.unique(train[:, 1]):
        edges = train[train[:, 1] == relation]
        tails = len(edges) / len(np.unique(edges[:, 0]))
        heads = len(edges) / len(np.unique(edges[:, 2]))
        kinds[relation] = f"{'N' if heads >= MANY else '1'}-{'N' if tails >= MANY else '1'}"
    return kinds
