"""Whose names entities are linked by: those of the construction that is named, else of the one next to the images."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.errors import InputError
from kgplatform.generate.pipeline import _names


def _write_construction(folder: Path, lexicon: str) -> Path:
    folder.mkdir()
    (folder / lexicon).write_text("cui,name\nC0032227,pleural effusion\n", encoding="utf-8")
    settings_path = folder / "construct.yaml"
    settings_path.write_text(f"reports: openi\npath: .\nlexicon: [{lexicon}]\n", encoding="utf-8")
    return settings_path


def test_the_lexicon_is_that_of_the_construction(tmp_path: Path) -> None:
    own_settings = _write_construction(tmp_path / "images", "own.csv")
    other_settings = _write_construction(tmp_path / "other", "other.csv")
    images, extra = own_settings.parent, tmp_path / "extra.csv"
    assert _names(images, (), None).lexicon == (images / "own.csv",)
    for construction in (other_settings, other_settings.parent):
        settings = _names(images, (extra,), construction)
        assert settings.lexicon == (tmp_path / "other" / "other.csv", extra)
    (tmp_path / "bare").mkdir()
    assert _names(tmp_path / "bare", (), None).lexicon == ()


def test_a_construction_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        _names(tmp_path, (), tmp_path / "construct.yaml")
