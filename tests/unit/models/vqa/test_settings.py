"""A VQA training's settings: every file in the repository is read, and what is wrong is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_models.vqa.settings import METHODS, VQASettings
from kgplatform.errors import InputError
from tests import ROOT

FOLDER = ROOT / "benchmarks" / "vqa" / "settings"


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_settings_in_the_repository(path: Path) -> None:
    settings = VQASettings.read(path)
    assert settings.method == path.stem
    assert VQASettings.from_document(settings.as_dict()) == settings


@pytest.mark.parametrize("folder", ["paper", "code", "offline", "small"])
def test_each_folder_has_every_method(folder: str) -> None:
    assert {settings_path.stem for settings_path in (FOLDER / folder).glob("*.yaml")} == set(METHODS)


def test_the_papers_and_the_codes_settings() -> None:
    paper_settings, code_settings = (
        VQASettings.read(FOLDER / folder_name / "mr-mkg.yaml") for folder_name in ("paper", "code")
    )
    assert (paper_settings.tuning.learning_rate, paper_settings.tuning.epochs, paper_settings.tuning.patience) == (
        1e-4,
        30,
        3,
    )
    assert (code_settings.tuning.learning_rate, code_settings.tuning.weight_decay, code_settings.tuning.patience) == (
        2e-5,
        0.2,
        5,
    )
    assert (code_settings.tuning.schedule, code_settings.graph_dropout, code_settings.dropout) == ("plateau", 0.8, 0.1)
    assert paper_settings.hidden == code_settings.hidden == 512
    assert paper_settings.align == code_settings.align == 0.1


@pytest.mark.parametrize(
    ("document", "about"),
    [
        ({"method": "transformer"}, "method"),
        ({"hops": 3}, "hops"),
        ({"hidden": 510}, "multiple of 4"),
        ({"dropout": 1.0}, "dropout"),
        ({"graph_dropout": 1.5}, "dropout"),
        ({"tuning": {"epochs": 0}}, "epochs"),
        ({"tuning": {"schedule": "linear"}}, "schedule"),
        ({"tunning": {}}, "tunning"),
        ([1, 2], "settings"),
    ],
)
def test_what_is_wrong_is_refused(document: object, about: str) -> None:
    with pytest.raises(InputError, match=about):
        VQASettings.from_document(document)
