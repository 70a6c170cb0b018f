"""What models state that they were trained on, and the warning where images are not like that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
from kgp_models.generator import checkpoint as generators
from kgp_models.retrieval import checkpoint as backbones
from kgp_models.vqa import checkpoint as answerers
from kgplatform import trained_on
from kgplatform.generate.inputs import Input, Inputs
from kgplatform.generate.run import _warnings
from kgplatform.trained_on import NOT_STATED, UNKNOWN, DataSet, is_synthetic

SYNTHETIC = (DataSet("Phantom", True),)
REAL = (DataSet("MIMIC-CXR", False),)


def test_data_sets_by_name() -> None:
    assert trained_on.of_names(["phantom", "Phantom", "", "VQA-RAD"]) == (*SYNTHETIC, DataSet("VQA-RAD", False))
    assert trained_on.joined(REAL, SYNTHETIC, REAL) == (*REAL, *SYNTHETIC)
    assert trained_on.listed((*SYNTHETIC, *UNKNOWN)) == "Phantom (synthetic), unknown (not known whether synthetic)"


@pytest.mark.parametrize("stated", [SYNTHETIC, REAL, UNKNOWN, ()])
def test_what_is_written_is_read(stated: trained_on.TrainedOn) -> None:
    description = json.loads(json.dumps({"trained_on": trained_on.document(stated)}))
    assert trained_on.read(description) == stated


@pytest.mark.parametrize("other", [None, "Phantom", 3, {"name": "Phantom"}, [1, None, {"synthetic": True}]])
def test_anything_else_states_nothing(other: object) -> None:
    assert trained_on.read({"trained_on": other}) == ()
    assert trained_on.read({}) == ()


def test_who_is_warned() -> None:
    [warning] = trained_on.warnings(SYNTHETIC, 5, 2)
    assert "trained on synthetic images only (Phantom), and 3 of the 5 images are not known to be synthetic" in warning
    assert "the image is not known to be synthetic" in trained_on.warnings(SYNTHETIC, 1, 0)[0]
    assert trained_on.warnings((), 1, 0) == [NOT_STATED]
    for trained, images, synthetic in ((SYNTHETIC, 5, 5), (SYNTHETIC, 0, 0), ((), 1, 1)):
        assert trained_on.warnings(trained, images, synthetic) == []
    for trained in (REAL, UNKNOWN, (*SYNTHETIC, *REAL), (*SYNTHETIC, *UNKNOWN)):
        assert trained_on.warnings(trained, 5, 0) == []


def test_an_image_is_synthetic_by_the_folder_that_was_built_and_not_by_its_name(invented: Path, tmp_path: Path) -> None:
    image = next(invented.rglob("*.png"))
    assert is_synthetic(image)
    assert is_synthetic(Path(image.parent, "..", image.parent.name, image.name))
    copied = tmp_path / image.relative_to(invented)
    copied.parent.mkdir(parents=True)
    shutil.copy(image, copied)
    assert not is_synthetic(copied)
    assert not is_synthetic(tmp_path / "missing.png")
    shutil.copy(invented / "contents.json", tmp_path)
    assert is_synthetic(copied)
    real = copied.with_name("real.png")
    shutil.copy(image, real)
    assert not is_synthetic(real)


def test_generated_images_are_synthetic_by_data_set_or_folder(invented: Path, tmp_path: Path) -> None:
    drawn = next(invented.rglob("*.png"))
    rows = [
        Input("I1", tmp_path / "1.png", {"dataset": "Phantom"}),
        Input("I2", drawn),
        Input("I3", tmp_path / "3.png", {"dataset": "images"}),
        Input("I4", None, {"dataset": "reports"}),
    ]
    assert "1 of the 3 images are not known" in _warnings(Inputs(rows), SYNTHETIC)[0]
    assert _warnings(Inputs(rows[:2]), SYNTHETIC) == []


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (generators.SHIPPED, generators.ABOUT),
        (backbones.SHIPPED, backbones.ABOUT),
        (answerers.SHIPPED, answerers.ABOUT),
    ],
)
def test_the_models_that_come_with_the_package_state_synthetic_images_only(folder: Path, name: str) -> None:
    assert trained_on.read(json.loads((folder / name).read_text(encoding="utf-8"))) == SYNTHETIC
    assert "- trained on: Phantom (synthetic)" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_statement_changes_no_hash_and_its_lack_is_no_error(tmp_path: Path) -> None:
    """Runs are named by the hash, so that a model is the same one after it has stated what it was trained on."""
    shutil.copytree(generators.SHIPPED, tmp_path / "generator")
    path = tmp_path / "generator" / generators.ABOUT
    about = json.loads(path.read_text(encoding="utf-8"))
    del about["trained_on"]
    path.write_text(json.dumps(about), encoding="utf-8")
    old, new = generators.load(tmp_path / "generator"), generators.load(generators.SHIPPED)
    assert (old.sha256, old.trained_on, new.trained_on) == (new.sha256, (), SYNTHETIC)
    assert backbones.load(backbones.SHIPPED).trained_on == SYNTHETIC
