"""A folder holds one training: no other one goes on from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kgp_models.training_state import OF, TrainingState, claim
from kgplatform.errors import InputError
from kgplatform.interrupt import Checkpoints

pytestmark = pytest.mark.slow  # torch


def test_the_same_training_goes_on_and_another_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    claim(folder, {"settings": {"epochs": 3}, "seed": 1})
    claim(folder, {"seed": 1, "settings": {"epochs": 3}})
    with pytest.raises(InputError, match="an unfinished training of other settings or data"):
        claim(folder, {"settings": {"epochs": 3}, "seed": 2})
    assert [path.name for path in folder.iterdir()] == [OF]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sha256": 3}', "{}"])
def test_a_damaged_note_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / OF).write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        claim(tmp_path, {"seed": 1})


def test_a_damaged_state_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "training.state"
    state = TrainingState(path, {"model": torch.nn.Linear(2, 1)}, steps=1, epochs=2)
    state.resume()
    assert (state.history, state.step) == ([], 0)
    for _ in state.epoch([1], Checkpoints()):
        state.add({"loss": torch.tensor(1.0)})
    state.end_epoch(Checkpoints())
    again = TrainingState(path, {"model": torch.nn.Linear(2, 1)}, steps=1, epochs=2)
    again.resume()
    assert again.history == [{"loss": 1.0}]
    whole = path.read_bytes()
    for damaged in (whole[:200], b"", b"PK", whole[:-30] + b"0" * 30):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="the state of the training is damaged"):
            again.resume()
        assert path.read_bytes() == damaged
    path.write_bytes(whole)
    with pytest.raises(InputError, match="damaged"):
        TrainingState(path, {"model": torch.nn.Linear(3, 1)}, steps=1, epochs=2).resume()
