"""A trained retrieval model comes back as it was saved; a damaged one and wrong settings are clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kgp_models.generator.language import small_tokenizer
from kgp_models.retrieval import checkpoint
from kgp_models.retrieval.encode import open_encoder
from kgp_models.retrieval.inputs import text_embeddings
from kgp_models.retrieval.settings import FineTuning, RetrievalSettings
from kgp_models.towers.backbone import Backbone
from kgp_models.towers.small_backbone import small_backbone
from kgplatform.errors import InputError
from tests import ROOT
from tests.unit.models.retrieval import retrieval_world as world
from tests.unit.models.retrieval.retrieval_world import TUNING

pytestmark = pytest.mark.slow

SETTINGS = RetrievalSettings(backbone="new", small=world.SIZES, tuning=TUNING)


def saved(folder: Path, settings: RetrievalSettings = SETTINGS) -> Backbone:
    tokenizer = small_tokenizer(
        [world.picture_report([number % 4], number) for number in range(20)], world.SIZES.vocabulary
    )
    backbone = small_backbone(tokenizer, world.SIZES, 4).eval()
    checkpoint.save_retrieval_model(
        folder, backbone, settings, base="small", tokenizer=tokenizer, data={"pairs": "abc"}, figures={"R@10": 0.5}
    )
    return backbone


def test_a_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    backbone = saved(tmp_path)
    loaded = checkpoint.load_retrieval_model(tmp_path)
    report_texts = ["There is effusion.", "No edema. Study 7."]
    assert torch.allclose(text_embeddings(loaded, report_texts), text_embeddings(backbone, report_texts), atol=5e-3)
    images = world.example_pairs(3, 1).images
    difference = loaded.embed_images(images) - backbone.embed_images(images)
    assert float(difference.detach().abs().max()) < 5e-3  # kept in half precision
    encoder = open_encoder(str(tmp_path))
    assert encoder.sees
    assert encoder.width == 512
    assert encoder.texts(report_texts).shape == (2, 512)
    assert "R@10 | 0.5" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("damage", ["cut", "other", "gone", "form", "json", "settings", "outside"])
def test_a_damaged_model_is_one_clear_error(damage: str, tmp_path: Path) -> None:
    saved(tmp_path)
    weights_path, description_path = tmp_path / checkpoint.WEIGHTS, tmp_path / checkpoint.ABOUT
    document = json.loads(description_path.read_text())
    if damage == "cut":
        weights_path.write_bytes(weights_path.read_bytes()[:1000])
    elif damage == "other":
        (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    elif damage == "gone":
        weights_path.unlink()
    elif damage == "form":
        description_path.write_text(json.dumps({**document, "form": 99}))
    elif damage == "json":
        description_path.write_text("{")
    elif damage == "settings":
        document["settings"]["small"]["pixels"] = 64
        description_path.write_text(json.dumps(document))
    else:
        document["files"] = {"../outside": "0"}
        description_path.write_text(json.dumps(document))
    with pytest.raises(InputError) as refusal:
        checkpoint.load_retrieval_model(tmp_path)
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"metod": "backbone"}, "there is no setting metod"),
        ({"method": "clip"}, "method is not one of"),
        ({"tuning": {"epochs": 0}}, "tuning.epochs must be more than 0"),
        ({"tuning": {"learning_rate": "fast"}}, "tuning.learning_rate must be a number"),
        ({"tuning": {"patience": float("nan")}}, "tuning.patience must be a whole number"),
        ({"small": {"pixels": 100}}, "not a multiple of 32"),
        ({"fashion": {"nearest": 11}}, "nearest is more than prototypes"),
        ({"knowledge": {"prompt": "x"}}, "a prompt has no {}"),
        ([], "must be a mapping"),
    ],
)
def test_settings_that_are_wrong_are_one_clear_error(document: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        RetrievalSettings.from_document(document)


def test_the_papers_settings_are_the_defaults() -> None:
    settings_folder = ROOT / "benchmarks" / "retrieval" / "settings" / "paper"
    for method in ("backbone", "fashionklip", "knowledgeclip"):
        settings = RetrievalSettings.read(settings_folder / f"{method}.yaml")
        assert settings.tuning == FineTuning()
        assert (settings.tuning.learning_rate, settings.tuning.epochs, settings.tuning.patience) == (1e-4, 30, 3)
        assert settings.method == method
        assert RetrievalSettings.from_document(settings.as_dict()) == settings
