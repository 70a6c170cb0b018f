"""The folder of a trained model: what is written, what is refused, and the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from kgp_models.generator import checkpoint as generator
from kgp_models.retrieval import checkpoint as retrieval
from kgp_models.training.model_folder import CARD, CardText, ModelFormat
from kgp_models.vqa import checkpoint as vqa
from kgplatform.errors import InputError

FORMAT = ModelFormat(
    model="toy model",
    trainer="kgp train toy",
    description_name="toy.json",
    version=3,
    entry_types={"settings": dict, "figures": dict},
    card_text=lambda description: CardText(
        "Toy", "It does nothing.", (f"seed: {description['settings']['seed']}",), "A toy."
    ),
)
SHIPPED = [(module.FORMAT, module.SHIPPED) for module in (generator, retrieval, vqa)]


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(b"123")
    description = {"settings": {"seed": 1}, "figures": {"accuracy": 0.5}, "trained_on": []}
    FORMAT.write(tmp_path, description, [tmp_path / "weights"])
    return tmp_path


def test_a_description_is_read_back_and_the_card_states_what_it_has(toy_folder: Path) -> None:
    description = FORMAT.read(toy_folder)
    assert (description["form"], description["settings"]) == (3, {"seed": 1})
    assert list(description["files"]) == ["weights"]
    card = (toy_folder / CARD).read_text(encoding="utf-8")
    for line in ("# Toy", "- seed: 1", "- trained on: not stated", "| accuracy | 0.5 |"):
        assert line in card.splitlines()


def test_a_folder_without_its_description_holds_no_model(toy_folder: Path) -> None:
    assert FORMAT.is_in(toy_folder)
    (toy_folder / "toy.json").unlink()
    assert not FORMAT.is_in(toy_folder)
    with pytest.raises(InputError, match="there is no toy model here") as error:
        FORMAT.read(toy_folder)
    assert error.value.hint == "Give the folder of a toy model of `kgp train toy`."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": []}, "no toy model here, or its description is damaged"),
        ({"files": ["weights"]}, "no toy model here, or its description is damaged"),
        ({"form": 2}, "the toy model is of another version"),
        ({"files": {"weights": "0"}}, "weights: a file of the model is missing or changed"),
        ({"files": {"../weights": "0"}}, "a file of the model is missing or changed"),
    ],
)
def test_a_changed_description_is_one_clear_error(toy_folder: Path, change: dict[str, Any], message: str) -> None:
    description_path = toy_folder / "toy.json"
    description = json.loads(description_path.read_text(encoding="utf-8"))
    description_path.write_text(json.dumps({**description, **change}), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        FORMAT.read(toy_folder)


@pytest.mark.parametrize(("model_format", "folder"), SHIPPED, ids=[str(folder) for _, folder in SHIPPED])
def test_the_card_of_a_model_of_this_package_is_generated(model_format: ModelFormat, folder: Path) -> None:
    description = model_format.read(folder)
    assert (folder / CARD).read_text(encoding="utf-8") == model_format.card(description)
