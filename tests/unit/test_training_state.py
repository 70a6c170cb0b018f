"""A folder holds one training: no other one goes on from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kgp_models.training_state import OF, TrainingState, claim
from kgplatform.errors import InputError

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
    place = tmp_path / "training.state"
    state = TrainingState(place, {"model": torch.nn.Linear(2, 1)})
    assert state.resume() == ([], 0.0)
    state.keep([{"loss": 1.0}], 2.0, {})
    assert state.resume() == ([{"loss": 1.0}], 2.0)
    whole = place.read_bytes()
    for damaged in (whole[:200], b"", b"PK", whole[:-30] + b"0" * 30):
        place.write_bytes(damaged)
        with pytest.raises(InputError, match="the state of the training is damaged"):
            state.resume()
        assert place.read_bytes() == damaged
    place.write_bytes(whole)
    with pytest.raises(InputError, match="damaged"):
        TrainingState(place, {"model": torch.nn.Linear(3, 1)}).resume()
