"""Groups of test triples whose ranks are reported apart: what an average over all would hide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kgplatform.datasets.splits import Split
from kgplatform.export.triples import Ids
from kgplatform.schema import Stance

MANY = 1.5  # from this many tails a head, a relation counts as 1-N (Bordes et al. 2013, §4.3)

Rows = NDArray[np.bool_]


def triple_groups(split: Split, part: str = "test") -> dict[str, Rows]:
    """Masks over the triples of `part` by name; groups without a triple are left out.

    ``cross`` joins an image and a concept, ``intra`` does not; each stance; ``1-1``, ``1-N``, ``N-1``, ``N-N`` by what
    training knows of the relation; ``inverse known`` has an edge between the same two entities in training, either way,
    and ``unseen entity`` an end that training has not.
    """
    triples, held_out, train = split.triples, split.part(part), split.train
    is_image = triples.kinds == "Image"
    is_cross = np.logical_xor(is_image[held_out[:, 0]], is_image[held_out[:, 2]])
    group_masks: dict[str, Rows] = {"cross": is_cross, "intra": ~is_cross}
    for stance in Stance:
        if stance.value in triples.relations:
            group_masks[stance.value] = np.isin(held_out[:, 1], list(triples.relations).index(stance.value))
    relation_kinds = cardinalities(train, triples.num_relations)
    for kind in ("1-1", "1-N", "N-1", "N-N"):
        group_masks[kind] = np.isin(relation_kinds[held_out[:, 1]], kind)
    entity_count = triples.num_entities
    joined_pairs = np.unique(
        np.concatenate([train[:, 0] * entity_count + train[:, 2], train[:, 2] * entity_count + train[:, 0]])
    )
    group_masks["inverse known"] = np.isin(held_out[:, 0] * entity_count + held_out[:, 2], joined_pairs)
    in_training = np.zeros(entity_count, dtype=bool)
    in_training[train[:, [0, 2]].reshape(-1)] = True
    group_masks["unseen entity"] = ~(in_training[held_out[:, 0]] & in_training[held_out[:, 2]])
    return {group_name: group_mask for group_name, group_mask in group_masks.items() if group_mask.any()}


def cardinalities(train: Ids, num_relations: int) -> NDArray[np.str_]:
    """Each relation's kind: 1-1, 1-N, N-1 or N-N by the mean number of tails a head and heads a tail; "" if unseen."""
    relation_kinds = np.full(num_relations, "", dtype="<U3")
    for relation in np.unique(train[:, 1]):
        relation_edges = train[train[:, 1] == relation]
        tails_per_head = len(relation_edges) / len(np.unique(relation_edges[:, 0]))
        heads_per_tail = len(relation_edges) / len(np.unique(relation_edges[:, 2]))
        relation_kinds[relation] = f"{'N' if heads_per_tail >= MANY else '1'}-{'N' if tails_per_head >= MANY else '1'}"
    return relation_kinds
