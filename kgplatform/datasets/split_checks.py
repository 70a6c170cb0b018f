"""What `kgplatform.audit` looks for in an export and in a split: each check counts and names a few."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kgplatform.datasets.splits import PARTS, Split, leak
from kgplatform.export.triples import Ids, Triples

EXAMPLES: Final = 5


@dataclass(frozen=True)
class CheckCount:
    """What a check counted; nothing is found where `count` is 0. `detail` goes behind the rule's title."""

    count: int
    total: int
    examples: Sequence[str] = ()
    detail: str = ""


@dataclass(frozen=True)
class Hashed:
    """How many ids are left when names are numbered by ``md5(name) mod N``, N being how many names there are."""

    entities: int
    entity_ids: int
    relations: int
    relation_ids: int


def shared_labels(triples: Triples) -> CheckCount:
    """Labels that name several entities, so that triples by label cannot be distinguished."""
    unique_labels, label_counts = np.unique(np.array(triples.labels, dtype=np.str_), return_counts=True)
    repeated_labels = unique_labels[label_counts > 1].tolist()
    return CheckCount(len(repeated_labels), len(unique_labels), repeated_labels)


def unused_ids(triples: Triples) -> CheckCount:
    """Entities and relations of the id maps that no triple has: their embeddings are never trained."""
    end_ids, relation_ids = triples.ids[:, [0, 2]].reshape(-1), triples.ids[:, 1]
    unused_entities = np.bincount(end_ids, minlength=triples.num_entities) == 0
    unused_relations = np.bincount(relation_ids, minlength=triples.num_relations) == 0
    unused_names = [triples.labels[unused_id] for unused_id in np.flatnonzero(unused_entities).tolist()]
    unused_names += [triples.relations[unused_id] for unused_id in np.flatnonzero(unused_relations).tolist()]
    return CheckCount(len(unused_names), triples.num_entities + triples.num_relations, unused_names)


def hashed_collisions(triples: Triples) -> Hashed:
    """What the ids of the MedMKG authors' code would merge (``int(md5(name), 16) % N``); exports do not use them."""

    def ids(label_names: Sequence[str]) -> int:
        md5_digests = (
            hashlib.md5(label_name.encode(), usedforsecurity=False).hexdigest() for label_name in label_names
        )
        return len({int(md5_digest, 16) % len(label_names) for md5_digest in md5_digests})

    entities, relations = triples.labels, triples.relations
    return Hashed(len(entities), ids(entities), len(relations), ids(relations))


def hashed_ids(triples: Triples) -> CheckCount:
    """What `hashed_collisions` says, as a finding for information."""
    hashed = hashed_collisions(triples)
    entity_counts = f"{hashed.entities:,} into {hashed.entity_ids:,}"
    detail = f"{entity_counts}, relations {hashed.relations:,} into {hashed.relation_ids:,}"
    return CheckCount(hashed.entities - hashed.entity_ids, hashed.entities, (), detail)


def leak_check(part: str) -> Callable[[Split], CheckCount]:
    """A check for triples of `part` whose two entities are joined in training, too."""

    def check(split: Split) -> CheckCount:
        part_leak, part_triples, train_triples = leak(split, part), split.part(part), split.train
        is_joined = np.isin(_unordered_pairs(split, part_triples), _unordered_pairs(split, train_triples))
        example_names = _names(split.triples, part_triples[is_joined][:EXAMPLES])
        detail = f"{part_leak.reversed:,} reversed, {part_leak.parallel:,} parallel"
        return CheckCount(part_leak.either, part_leak.test, example_names, detail)

    return check


def _unordered_pairs(split: Split, triple_ids: Ids) -> NDArray[np.int64]:
    """A number for the two entities of each triple, regardless of their order; shape (n,)."""
    sorted_ends = np.sort(triple_ids[:, [0, 2]], axis=1)
    return sorted_ends[:, 0] * split.triples.num_entities + sorted_ends[:, 1]


def _names(triples: Triples, triple_ids: Ids) -> list[str]:
    return [" ".join(triple) for triple in triples.named(triple_ids)]


def unseen_entities(split: Split) -> CheckCount:
    """Entities of the test part that no training triple has. Images of an inductive split are meant to be unseen."""
    is_counted = np.ones(split.triples.num_entities, dtype=bool)
    if split.kind == "inductive":
        is_counted = split.triples.kinds != "Image"
    test_entities, train_entities = np.unique(split.test[:, [0, 2]]), np.unique(split.train[:, [0, 2]])
    test_entities = test_entities[is_counted[test_entities]]
    unseen_ids = test_entities[~np.isin(test_entities, train_entities)]
    return CheckCount(
        len(unseen_ids),
        len(test_entities),
        [split.triples.labels[entity_id] for entity_id in unseen_ids[:EXAMPLES].tolist()],
    )


def spread_images(split: Split) -> CheckCount:
    """Images with triples in several parts."""
    image_keys = [node.key if node.kind == "Image" else "" for node in split.triples.nodes]
    return _spread(split, image_keys)


def spread_subjects(split: Split) -> CheckCount:
    """Subjects whose images have triples in several parts."""
    return _spread(split, [node.subject if node.kind == "Image" else "" for node in split.triples.nodes])


def _spread(split: Split, group_names: Sequence[str]) -> CheckCount:
    """Groups of entities (those with the same name that is not empty) with triples in several parts."""
    group_labels, entity_groups = np.unique(np.array(group_names, dtype=np.str_), return_inverse=True)
    entity_groups = entity_groups.reshape(-1)
    group_parts = np.zeros((len(group_labels), len(PARTS)), dtype=bool)
    for column in (0, 2):
        group_parts[entity_groups[split.triples.ids[:, column]], split.parts] = True
    is_named = group_labels != ""
    spread_groups = group_labels[is_named & (group_parts.sum(axis=1) > 1)]
    return CheckCount(len(spread_groups), int((is_named & group_parts.any(axis=1)).sum()), spread_groups.tolist())


def unknown_subjects(split: Split) -> CheckCount:
    """Images of an inductive split whose subject is not known: two of them may show the same person."""
    image_nodes = [node for node in split.triples.nodes if node.kind == "Image"]
    unknown_keys = [node.key for node in image_nodes if not node.subject] if split.kind == "inductive" else []
    return CheckCount(len(unknown_keys), len(image_nodes), unknown_keys)
