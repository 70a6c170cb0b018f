"""A folder holds one training: no other one goes on from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_models.training_state import OF, claim
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
