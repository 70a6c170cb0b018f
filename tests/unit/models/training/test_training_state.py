"""A folder holds one training: no other one goes on from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from kgp_models.training.training_state import CLAIM_FILE, TrainingState, claim
from kgplatform.errors import InputError
from kgplatform.interrupt import Checkpoints

pytestmark = pytest.mark.slow  # torch


def test_the_same_training_goes_on_and_another_one_is_refused(tmp_path: Path) -> None:
    work_folder = tmp_path / "work"
    claim(work_folder, {"settings": {"epochs": 3}, "seed": 1})
    claim(work_folder, {"seed": 1, "settings": {"epochs": 3}})
    with pytest.raises(InputError, match=r"an unfinished training with other settings or data is here \(other seed\)"):
        claim(work_folder, {"settings": {"epochs": 3}, "seed": 2})
    with pytest.raises(InputError, match=r"\(other graph, settings\)"):
        claim(work_folder, {"settings": {"epochs": 4}, "seed": 1, "graph": "abc"})
    assert [file_path.name for file_path in work_folder.iterdir()] == [CLAIM_FILE]


def test_a_training_of_version_0_1_goes_on(tmp_path: Path) -> None:
    about = {"seed": 1, "settings": {"epochs": 3}}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    (tmp_path / CLAIM_FILE).write_text(json.dumps({"sha256": digest}), encoding="utf-8")
    with pytest.raises(InputError, match="other settings or data"):
        claim(tmp_path, {**about, "seed": 2})
    claim(tmp_path, about)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sha256": 3}', "{}"])
def test_a_damaged_note_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / CLAIM_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        claim(tmp_path, {"seed": 1})


def test_a_damaged_state_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    state_path = tmp_path / "training.state"
    training_state = TrainingState(state_path, {"model": torch.nn.Linear(2, 1)}, steps=1, epochs=2)
    training_state.resume()
    assert (training_state.history, training_state.step) == ([], 0)
    for _ in training_state.epoch([1], Checkpoints()):
        training_state.add({"loss": torch.tensor(1.0)})
    training_state.end_epoch(Checkpoints())
    resumed = TrainingState(state_path, {"model": torch.nn.Linear(2, 1)}, steps=1, epochs=2)
    resumed.resume()
    assert resumed.history == [{"loss": 1.0}]
    original_bytes = state_path.read_bytes()
    for damaged in (original_bytes[:200], b"", b"PK", original_bytes[:-30] + b"0" * 30):
        state_path.write_bytes(damaged)
        with pytest.raises(InputError, match="the state of the training is damaged"):
            resumed.resume()
        assert state_path.read_bytes() == damaged
    state_path.write_bytes(original_bytes)
    with pytest.raises(InputError, match="damaged"):
        TrainingState(state_path, {"model": torch.nn.Linear(3, 1)}, steps=1, epochs=2).resume()


def test_a_note_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a note of"):
        claim(tmp_path, {"pairs": [str(number) for number in range(10_000)]})
    assert not list(tmp_path.iterdir())
