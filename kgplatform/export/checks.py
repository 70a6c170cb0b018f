"""What `kgplatform.audit` looks for in an export and in a split: each check counts and names a few."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kgplatform.export.splits import PARTS, Split, leak
from kgplatform.export.triples import Ids, Triples

EXAMPLES: Final = 5


@dataclass(frozen=True)
class Found:
    """What a check counted; nothing is found where `count` is 0. `detail` goes behind the rule's title."""

    count: int
    of: int
    examples: Sequence[str] = ()
    detail: str = ""


@dataclass(frozen=True)
class Hashed:
    """How many ids are left when names are numbered by ``md5(name) mod N``, N being how many names there are."""

    entities: int
    entity_ids: int
    relations: int
    relation_ids: int


def shared_labels(triples: Triples) -> Found:
    """Labels that name several entities, so that triples by label cannot be told apart."""
    labels, times = np.unique(np.array(triples.labels, dtype=np.str_), return_counts=True)
    shared = labels[times > 1].tolist()
    return Found(len(shared), len(labels), shared)


def unused_ids(triples: Triples) -> Found:
    """Entities and relations of the id maps that no triple has: their embeddings are never trained."""
    ends, relations = triples.ids[:, [0, 2]].reshape(-1), triples.ids[:, 1]
    entity = np.bincount(ends, minlength=triples.num_entities) == 0
    relation = np.bincount(relations, minlength=triples.num_relations) == 0
    names = [triples.labels[i] for i in np.flatnonzero(entity).tolist()]
    names += [triples.relations[i] for i in np.flatnonzero(relation).tolist()]
    return Found(len(names), triples.num_entities + triples.num_relations, names)


def hashed_collisions(triples: Triples) -> Hashed:
    """What the ids of the MedMKG authors' code would merge (``int(md5(name), 16) % N``); exports do not use them."""

    def ids(names: Sequence[str]) -> int:
        digests = (hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in names)
        return len({int(digest, 16) % len(names) for digest in digests})

    entities, relations = triples.labels, triples.relations
    return Hashed(len(entities), ids(entities), len(relations), ids(relations))


def hashed_ids(triples: Triples) -> Found:
    """What `hashed_collisions` says, as a finding for information."""
    hashed = hashed_collisions(triples)
    entities = f"{hashed.entities:,} into {hashed.entity_ids:,}"
    detail = f"{entities}, relations {hashed.relations:,} into {hashed.relation_ids:,}"
    return Found(hashed.entities - hashed.entity_ids, hashed.entities, (), detail)


def leak_of(part: str) -> Callable[[Split], Found]:
    """A check for triples of `part` whose two entities are joined in training, too."""

    def check(split: Split) -> Found:
        leaking, held, train = leak(split, part), split.part(part), split.train
        joined = np.isin(_unordered_pairs(split, held), _unordered_pairs(split, train))
        examples = _names(split.triples, held[joined][:EXAMPLES])
        detail = f"{leaking.reversed:,} reversed, {leaking.parallel:,} parallel"
        return Found(leaking.either, leaking.test, examples, detail)

    return check


def _unordered_pairs(split: Split, rows: Ids) -> NDArray[np.int64]:
    """A number for the two entities of each triple, whatever their order; shape (n,)."""
    ends = np.sort(rows[:, [0, 2]], axis=1)
    return ends[:, 0] * split.triples.num_entities + ends[:, 1]


def _names(triples: Triples, rows: Ids) -> list[str]:
    return [" ".join(triple) for triple in triples.named(rows)]


def unseen_entities(split: Split) -> Found:
    """Entities of the test part that no training triple has. Images of an inductive split are meant to be unseen."""
    counted = np.ones(split.triples.num_entities, dtype=bool)
    if split.kind == "inductive":
        counted = split.triples.kinds != "Image"
    held, known = np.unique(split.test[:, [0, 2]]), np.unique(split.train[:, [0, 2]])
    held = held[counted[held]]
    unseen = held[~np.isin(held, known)]
    return Found(len(unseen), len(held), [split.triples.labels[i] for i in unseen[:EXAMPLES].tolist()])


def spread_images(split: Split) -> Found:
    """Images with triples in several parts."""
    names = [node.key if node.kind == "Image" else "" for node in split.triples.nodes]
    return _spread(split, names)


def spread_subjects(split: Split) -> Found:
    """Subjects whose images have triples in several parts."""
    return _spread(split, [node.subject if node.kind == "Image" else "" for node in split.triples.nodes])


def _spread(split: Split, names: Sequence[str]) -> Found:
    """Groups of entities (those with the same name that is not empty) with triples in several parts."""
    groups, group = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    group = group.reshape(-1)
    seen = np.zeros((len(groups), len(PARTS)), dtype=bool)
    for column in (0, 2):
        seen[group[split.triples.ids[:, column]], split.parts] = True
    named = groups != ""
    spread = groups[named & (seen.sum(axis=1) > 1)]
    return Found(len(spread), int((named & seen.any(axis=1)).sum()), spread.tolist())


def unknown_subjects(split: Split) -> Found:
    """Images of an inductive split whose subject is not known: two of them may show the same person."""
    images = [node for node in split.triples.nodes if node.kind == "Image"]
    unknown = [node.key for node in images if not node.subject] if split.kind == "inductive" else []
    return Found(len(unknown), len(images), unknown)
