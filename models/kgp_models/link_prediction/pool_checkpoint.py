"""Pools on disk: the members' own checkpoints, the triples that the baselines count, and the weights.

A folder: ``pool.json`` (weights, hashes), ``members/NAME/`` (a checkpoint each) and ``train/`` (a `Triples`).
``pool.json`` is written last, so a folder without it is no pool.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from kgp_models.link_prediction import checkpoint
from kgp_models.link_prediction.baselines import BASELINES
from kgp_models.link_prediction.evaluate import TASKS
from kgp_models.link_prediction.pool import Pool
from kgplatform.errors import InputError
from kgplatform.export.splits import Split
from kgplatform.export.triples import Triples

ABOUT: Final = "pool.json"
MEMBERS: Final = "members"
TRAIN: Final = "train"
_AGAIN: Final = "Make the pool again."


@dataclass(frozen=True)
class PoolCheckpoint:
    """A pool with its id maps, as `kgp predict links` takes it: `graph` has the entities and relations."""

    scorer: Pool
    graph: Triples
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What predictions name as their model."""
        return "pool"

    @property
    def sha256(self) -> str:
        """The hash of the weights, the members and the training triples."""
        return _hash(self.about)


def save(folder: Path, pool: Pool, split: Split, members: Mapping[str, Path]) -> None:
    """Write a fitted pool; `members` are the folders of its models' checkpoints, which are copied."""
    (folder / ABOUT).unlink(missing_ok=True)
    for name, source in members.items():
        shutil.rmtree(folder / MEMBERS / name, ignore_errors=True)
        shutil.copytree(source, folder / MEMBERS / name)
    triples = split.triples
    train = Triples(split.train, triples.nodes, triples.relations)
    train.write(folder / TRAIN)
    about = {
        "members": {name: checkpoint.load(folder / MEMBERS / name).sha256 for name in members},
        "counts": list(pool.counts),
        "weights": {task: weights.tolist() for task, weights in pool.weights.items()},
        "train": train.sha256,
        "split": {"kind": split.kind, "seed": split.seed, "sha256": split.sha256},
    }
    checkpoint.save_json(folder / ABOUT, {**about, "sha256": _hash(about)})


def load(folder: Path) -> PoolCheckpoint:
    """Read what `save` wrote; raises `InputError` when any part is damaged or another pool's."""
    about = checkpoint.read_json(folder / ABOUT)
    if about.pop("sha256", None) != _hash(about):
        raise InputError("does not match its hash", _AGAIN, path=folder / ABOUT)
    train = Triples.read(folder / TRAIN)
    if train.sha256 != about["train"]:
        raise InputError("holds the triples of another pool", _AGAIN, path=folder / TRAIN)
    scorers = {}
    for name, sha256 in about["members"].items():
        member = checkpoint.load(folder / MEMBERS / name)
        if member.sha256 != sha256 or member.graph.sha256 != train.without_triples().sha256:
            raise InputError("is the checkpoint of another pool's member", _AGAIN, path=folder / MEMBERS / name)
        scorers[name] = member.scorer
    if not set(about["counts"]) <= set(BASELINES):
        raise InputError("names a baseline that there is not", _AGAIN, path=folder / ABOUT)
    kind, seed = about["split"]["kind"], about["split"]["seed"]
    pool = Pool(Split(train, np.zeros(len(train), dtype=np.int8), kind, seed), scorers, about["counts"])
    pool.weights = {task: torch.tensor(about["weights"][task]) for task in TASKS}
    return PoolCheckpoint(pool, train.without_triples(), about)


def load_any(folder: Path) -> checkpoint.Checkpoint | PoolCheckpoint:
    """A trained model or a pool, whichever is in `folder`; raises `InputError`."""
    return load(folder) if (folder / ABOUT).exists() else checkpoint.load(folder)


def _hash(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
