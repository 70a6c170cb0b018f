"""``KIND`` and ``KIND:FOLDER``: a folder is found from where its settings are, and moves with a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgp_models.towers.spec import TowerSpec


@given(st.text())
def test_a_spec_is_written_as_it_was_read(text: str) -> None:
    assert str(TowerSpec.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("offline", "offline"), ("clip:weights", "clip:/base/weights"), ("clip:/weights", "clip:/weights")],
)
def test_a_relative_folder_is_below_the_settings(text: str, expected: str) -> None:
    assert str(TowerSpec.parse(text).below(Path("/base"))) == expected


def test_a_folder_is_kept_relative_to_the_model() -> None:
    spec = TowerSpec.parse("clip:/data/weights")
    relative_spec = spec.relative_to(Path("/data/models/a"))
    assert str(relative_spec) == "clip:../../weights"
    assert Path(str(relative_spec.below(Path("/data/models/a")).folder)).resolve() == Path("/data/weights")
    assert str(TowerSpec("offline").relative_to(Path("/data"))) == "offline"
