"""Pools on disk: the members' own checkpoints, the triples that the baselines count, and the weights.

A folder: ``pool.json`` (the weights, and the hash of every other file), ``members/NAME/`` (a checkpoint each) and
``train/`` (a `Triples`). ``pool.json`` is written last, so a folder without it is no pool.
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
from kgp_models.link_prediction.scoring import Scorer
from kgp_models.model_files import sha256_of
from kgplatform.errors import InputError, UsageError
from kgplatform.export.splits import Split
from kgplatform.export.triples import Ids, Triples

ABOUT: Final = "pool.json"
MEMBERS: Final = "members"
TRAIN: Final = "train"
SAMPLE: Final = 1_000  # triples by which a checkpoint is known to be the pool's model
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
        """The hash of the weights, the members' weights and the training triples: the same for the same pool."""
        return _hash({key: value for key, value in self.about.items() if key != "files"})


def save(folder: Path, pool: Pool, split: Split, members: Mapping[str, Path]) -> None:
    """Write a fitted pool; `members` are the folders of its models' checkpoints, which are copied.

    Raises `UsageError` when they are not the pool's models, and `InputError` for one that is damaged, of another graph,
    or does not score as the pool's model does; what was in `folder` before then stays.
    """
    if set(members) != set(pool.models):
        raise UsageError(f"a pool of {', '.join(pool.models)} is saved with the checkpoint of each", "Give them all.")
    train = Triples(split.train, split.triples.nodes, split.triples.relations)
    checkpoints = {name: checkpoint.load(members[name]) for name in pool.models}  # in the order of the weights
    for name, member in checkpoints.items():
        if member.graph.sha256 != train.without_triples().sha256:
            raise InputError("is a model of another graph", "Train it on this one.", path=members[name])
        if not _same(member.scorer, pool.models[name], split.train[:SAMPLE]):
            raise InputError(
                "does not score as the pool's model", "Give the checkpoint that the pool has.", path=members[name]
            )
    (folder / ABOUT).unlink(missing_ok=True)
    for name, source in members.items():
        target = folder / MEMBERS / name
        if source.resolve() != target.resolve():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
    train.write(folder / TRAIN)
    files = (path for part in (TRAIN, *(f"{MEMBERS}/{name}" for name in members)) for path in (folder / part).iterdir())
    about = {
        "members": {name: member.sha256 for name, member in checkpoints.items()},
        "counts": list(pool.counts),
        "weights": {task: weights.tolist() for task, weights in pool.weights.items()},
        "train": train.sha256,
        "split": {"kind": split.kind, "seed": split.seed, "sha256": split.sha256},
        "files": {path.relative_to(folder).as_posix(): _hash_of_file(path) for path in sorted(files)},
    }
    checkpoint.save_json(folder / ABOUT, {**about, "sha256": _hash(about)})


def _same(one: Scorer, other: Scorer, ids: Ids) -> bool:
    """Whether two scorers give the triples, (n, 3), the same scores."""
    h, r, t = torch.from_numpy(np.ascontiguousarray(ids.T))
    with torch.inference_mode():
        return torch.allclose(one.triples(h, r, t), other.triples(h, r, t), rtol=1e-4, atol=1e-5)


def load(folder: Path) -> PoolCheckpoint:
    """Read what `save` wrote; raises `InputError` when any file is damaged or another pool's."""
    about = checkpoint.read_json(folder / ABOUT)
    if "files" not in about or "weights" not in about:
        raise InputError("is not a pool of this program", _AGAIN, path=folder / ABOUT)
    if about.pop("sha256", None) != _hash(about):
        raise InputError("does not match its hash", _AGAIN, path=folder / ABOUT)
    for name, sha256 in about["files"].items():
        if _hash_of_file(folder / name) != sha256:
            raise InputError("is missing, damaged or another pool's", _AGAIN, path=folder / name)
    if not set(about["counts"]) <= set(BASELINES):
        raise InputError("names a baseline that there is not", _AGAIN, path=folder / ABOUT)
    train = Triples.read(folder / TRAIN)
    scorers = {name: checkpoint.load(folder / MEMBERS / name).scorer for name in about["members"]}
    kind, seed = about["split"]["kind"], about["split"]["seed"]
    pool = Pool(Split(train, np.zeros(len(train), dtype=np.int8), kind, seed), scorers, about["counts"])
    pool.weights = {task: torch.tensor(about["weights"][task]) for task in TASKS}
    return PoolCheckpoint(pool, train.without_triples(), about)


def load_any(folder: Path) -> checkpoint.Checkpoint | PoolCheckpoint:
    """A trained model or a pool, whichever is in `folder`; raises `InputError`, for a half-written pool too."""
    return load(folder) if (folder / ABOUT).exists() or (folder / MEMBERS).exists() else checkpoint.load(folder)


def _hash(about: Mapping[str, Any]) -> str:
    """The order counts too: the weights are in that of the members."""
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _hash_of_file(path: Path) -> str | None:
    """The file's sha256, None where it cannot be read."""
    try:
        return sha256_of(path)
    except InputError:
        return None
