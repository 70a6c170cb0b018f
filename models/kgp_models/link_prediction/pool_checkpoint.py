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
from kgp_models.training.model_files import regular_file_sha256
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Ids, Triples
from kgplatform.files import read_json, write_json

ABOUT: Final = "pool.json"
MEMBERS: Final = "members"
TRAIN: Final = "train"
SAMPLE: Final = 1_000  # triples by which a checkpoint is recognised as the pool's model
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
        return _hash(
            {field_name: field_content for field_name, field_content in self.about.items() if field_name != "files"}
        )


def save_pool(folder: Path, pool: Pool, split: Split, members: Mapping[str, Path]) -> None:
    """Write a fitted pool; `members` are the folders of its models' checkpoints, which are copied.

    Raises `UsageError` when they are not the pool's models, and `InputError` for one that is damaged, of another graph,
    or does not score as the pool's model does; what was in `folder` before then stays.
    """
    if set(members) != set(pool.models):
        raise UsageError(f"a pool of {', '.join(pool.models)} is saved with the checkpoint of each", "Give them all.")
    train_triples = Triples(split.train, split.triples.nodes, split.triples.relations)
    checkpoints = {
        member_name: checkpoint.load_link_checkpoint(members[member_name]) for member_name in pool.models
    }  # in the order of the weights
    for member_name, member_checkpoint in checkpoints.items():
        if member_checkpoint.graph.sha256 != train_triples.without_triples().sha256:
            raise InputError("is a model of another graph", "Train it on this one.", path=members[member_name])
        if not _same(member_checkpoint.scorer, pool.models[member_name], split.train[:SAMPLE]):
            raise InputError(
                "does not score as the pool's model",
                "Give the checkpoint that the pool was made with.",
                path=members[member_name],
            )
    (folder / ABOUT).unlink(missing_ok=True)
    for member_name, source_folder in members.items():
        target_folder = folder / MEMBERS / member_name
        if source_folder.resolve() != target_folder.resolve():
            shutil.rmtree(target_folder, ignore_errors=True)
            shutil.copytree(source_folder, target_folder)
    train_triples.write(folder / TRAIN)
    saved_files = (
        file_path
        for subfolder in (TRAIN, *(f"{MEMBERS}/{member_name}" for member_name in members))
        for file_path in (folder / subfolder).iterdir()
    )
    about = {
        "members": {member_name: member_checkpoint.sha256 for member_name, member_checkpoint in checkpoints.items()},
        "counts": list(pool.counts),
        "weights": {task: task_weights.tolist() for task, task_weights in pool.weights.items()},
        "train": train_triples.sha256,
        "split": {"kind": split.kind, "seed": split.seed, "sha256": split.sha256},
        "files": {file_path.relative_to(folder).as_posix(): _file_hash(file_path) for file_path in sorted(saved_files)},
    }
    write_json(folder / ABOUT, {**about, "sha256": _hash(about)}, indent=2)


def _same(first_scorer: Scorer, second_scorer: Scorer, triple_ids: Ids) -> bool:
    """Whether two scorers give the triples, (n, 3), the same scores."""
    h, r, t = torch.from_numpy(np.ascontiguousarray(triple_ids.T))
    with torch.inference_mode():
        return torch.allclose(first_scorer.triples(h, r, t), second_scorer.triples(h, r, t), rtol=1e-4, atol=1e-5)


def load_pool(folder: Path) -> PoolCheckpoint:
    """Read what `save_pool` wrote; raises `InputError` when any file is damaged or another pool's."""
    about = read_json(folder / ABOUT, hint="Give the folder of a trained model.")
    if not isinstance(about, dict) or "files" not in about or "weights" not in about:
        raise InputError("is not a pool of this program", _AGAIN, path=folder / ABOUT)
    if about.pop("sha256", None) != _hash(about):
        raise InputError("does not match its hash", _AGAIN, path=folder / ABOUT)
    for file_name, file_hash in about["files"].items():
        if _file_hash(folder / file_name) != file_hash:
            raise InputError("is missing, damaged or another pool's", _AGAIN, path=folder / file_name)
    if not set(about["counts"]) <= set(BASELINES):
        raise InputError("names a baseline that does not exist", _AGAIN, path=folder / ABOUT)
    train_triples = Triples.read(folder / TRAIN)
    scorers = {
        member_name: checkpoint.load_link_checkpoint(folder / MEMBERS / member_name).scorer
        for member_name in about["members"]
    }
    split_kind, split_seed = about["split"]["kind"], about["split"]["seed"]
    pool = Pool(
        Split(train_triples, np.zeros(len(train_triples), dtype=np.int8), split_kind, split_seed),
        scorers,
        about["counts"],
    )
    pool.weights = {task: torch.tensor(about["weights"][task]) for task in TASKS}
    return PoolCheckpoint(pool, train_triples.without_triples(), about)


def load_any(folder: Path) -> checkpoint.LinkCheckpoint | PoolCheckpoint:
    """A trained model or a pool, whichever is in `folder`; raises `InputError`, for a half-written pool too."""
    return (
        load_pool(folder)
        if (folder / ABOUT).exists() or (folder / MEMBERS).exists()
        else checkpoint.load_link_checkpoint(folder)
    )


def _hash(about: Mapping[str, Any]) -> str:
    """The order counts too: the weights are in that of the members."""
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _file_hash(path: Path) -> str | None:
    """The file's sha256, None where it cannot be read."""
    try:
        return regular_file_sha256(path)
    except InputError:
        return None
