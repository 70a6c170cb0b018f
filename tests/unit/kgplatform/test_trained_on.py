"""What models state that they were trained on, and the warning where images are not like that."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
from kgp_models.generator import checkpoint as generators
from kgp_models.retrieval import checkpoint as backbones
from kgp_models.vqa import checkpoint as answerers
from kgplatform import trained_on
from kgplatform.generate.inputs import GenerationInputs, Input
from kgplatform.generate.run import _warnings
from kgplatform.trained_on import IMAGENET, NOT_STATED, UNKNOWN, DataSet, TrainingImage, is_synthetic

SYNTHETIC = (DataSet("Phantom", True),)
REAL = (DataSet("MIMIC-CXR", False),)


def test_data_sets_of_images_with_what_was_used_of_them() -> None:
    images = [
        TrainingImage("phantom", "a", "p1"),
        TrainingImage("Phantom", "b", "p1"),
        TrainingImage("Phantom", "b", "p1"),
        TrainingImage("VQA-RAD", "c"),
        TrainingImage("", "d"),
    ]
    hashed = [hashlib.sha256(names.encode()).hexdigest() for names in ("a\nb", "c", "d")]
    assert trained_on.from_images(images) == (
        DataSet("Phantom", True, 2, 1, "Apache-2.0", hashed[0]),
        DataSet("VQA-RAD", False, 1, None, "CC0 1.0", hashed[1]),
        DataSet("unknown", None, 1, None, None, hashed[2]),
    )
    assert trained_on.from_images(reversed(images)) == trained_on.from_images(images)


def test_several_trainings_name_each_data_set_once_by_its_largest_part() -> None:
    large, small = DataSet("OpenI", False, 9), DataSet("OpenI", False, 4)
    assert trained_on.merge_trained_on((small,), SYNTHETIC, (large,)) == (large, *SYNTHETIC)
    assert trained_on.merge_trained_on((large,), SYNTHETIC, (small,)) == (large, *SYNTHETIC)
    assert trained_on.merge_trained_on(REAL, SYNTHETIC, REAL) == (*REAL, *SYNTHETIC)


def test_training_data_in_words() -> None:
    assert (
        trained_on.describe_trained_on((*SYNTHETIC, *UNKNOWN))
        == "Phantom (synthetic), unknown (not known whether synthetic)"
    )
    stated = DataSet("OpenI", False, 4_100, 2_068, "CC BY-NC-ND 4.0 (believed)", "0" * 64)
    assert (
        trained_on.describe_trained_on((stated,))
        == "OpenI (real, 4,100 images of 2,068 subjects, CC BY-NC-ND 4.0 (believed))"
    )
    assert trained_on.describe_trained_on(()) == "not stated"
    kinds = [(SYNTHETIC, "synthetic"), (REAL, "real"), ((*SYNTHETIC, *REAL), "synthetic and real"), ((), "unknown")]
    with_photographs = [((IMAGENET, *data_sets), kind) for data_sets, kind in kinds if data_sets]
    for data_sets, kind in (
        *kinds,
        *with_photographs,
        ((*SYNTHETIC, *UNKNOWN), "unknown"),
        ((IMAGENET,), "photographs"),
    ):
        assert trained_on.training_data_kind(data_sets) == kind


@pytest.mark.parametrize("stated", [SYNTHETIC, REAL, UNKNOWN, (), (DataSet("OpenI", False, 9, 4, "CC0 1.0", "ab"),)])
def test_what_is_written_is_read(stated: trained_on.TrainedOn) -> None:
    description = json.loads(json.dumps({"trained_on": trained_on.document(stated)}))
    assert trained_on.read_trained_on(description) == stated


@pytest.mark.parametrize("other", [None, "Phantom", 3, {"name": "Phantom"}, [1, None, {"synthetic": True}]])
def test_anything_else_states_nothing(other: object) -> None:
    assert trained_on.read_trained_on({"trained_on": other}) == ()
    assert trained_on.read_trained_on({}) == ()


def test_who_is_warned() -> None:
    [warning] = trained_on.training_data_warnings(SYNTHETIC, 5, 2)
    assert "trained on synthetic images only (Phantom), and 3 of the 5 images are not known to be synthetic" in warning
    assert "the image is not known to be synthetic" in trained_on.training_data_warnings(SYNTHETIC, 1, 0)[0]
    assert trained_on.training_data_warnings((), 1, 0) == [NOT_STATED]
    assert "synthetic images only (Phantom)," in trained_on.training_data_warnings((IMAGENET, *SYNTHETIC), 1, 0)[0]
    for data_sets, image_count, synthetic_count in ((SYNTHETIC, 5, 5), (SYNTHETIC, 0, 0), ((), 1, 1)):
        assert trained_on.training_data_warnings(data_sets, image_count, synthetic_count) == []
    for not_only_synthetic in (REAL, UNKNOWN, (*SYNTHETIC, *REAL), (*SYNTHETIC, *UNKNOWN)):
        assert trained_on.training_data_warnings(not_only_synthetic, 5, 0) == []


def test_an_image_is_synthetic_by_the_folder_that_was_built_and_not_by_its_name(
    synthetic_studies_folder: Path, tmp_path: Path
) -> None:
    image_path = next(synthetic_studies_folder.rglob("*.png"))
    assert is_synthetic(image_path)
    assert is_synthetic(Path(image_path.parent, "..", image_path.parent.name, image_path.name))
    copied_path = tmp_path / image_path.relative_to(synthetic_studies_folder)
    copied_path.parent.mkdir(parents=True)
    shutil.copy(image_path, copied_path)
    assert not is_synthetic(copied_path)
    assert not is_synthetic(tmp_path / "missing.png")
    shutil.copy(synthetic_studies_folder / "contents.json", tmp_path)
    assert is_synthetic(copied_path)
    real_path = copied_path.with_name("real.png")
    shutil.copy(image_path, real_path)
    assert not is_synthetic(real_path)


def test_generated_images_are_synthetic_by_data_set_or_folder(synthetic_studies_folder: Path, tmp_path: Path) -> None:
    image_path = next(synthetic_studies_folder.rglob("*.png"))
    input_rows = [
        Input("I1", tmp_path / "1.png", {"dataset": "Phantom"}),
        Input("I2", image_path),
        Input("I3", tmp_path / "3.png", {"dataset": "images"}),
        Input("I4", None, {"dataset": "reports"}),
    ]
    assert "1 of the 3 images are not known" in _warnings(GenerationInputs(input_rows), SYNTHETIC)[0]
    assert _warnings(GenerationInputs(input_rows[:2]), SYNTHETIC) == []


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (generators.SHIPPED, generators.ABOUT),
        (backbones.SHIPPED, backbones.ABOUT),
        (answerers.SHIPPED, answerers.ABOUT),
    ],
)
def test_the_models_that_come_with_the_package_state_synthetic_images_only(folder: Path, name: str) -> None:
    [data_set] = trained_on.read_trained_on(json.loads((folder / name).read_text(encoding="utf-8")))
    assert data_set[:2] == SYNTHETIC[0][:2]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"- trained on: {trained_on.describe_trained_on((data_set,))}" in card


def test_the_generator_that_comes_with_the_package_states_how_many_images_it_was_trained_on() -> None:
    description = json.loads((generators.SHIPPED / generators.ABOUT).read_text(encoding="utf-8"))
    [data_set] = trained_on.read_trained_on(description)
    assert (data_set.images, data_set.subjects, data_set.licence) == (3_981, 2_902, "Apache-2.0")


def test_the_statement_changes_no_hash_and_its_lack_is_no_error(tmp_path: Path) -> None:
    """Runs are named by the hash, so that a model is the same one after it has stated what it was trained on."""
    shutil.copytree(generators.SHIPPED, tmp_path / "generator")
    description_path = tmp_path / "generator" / generators.ABOUT
    description = json.loads(description_path.read_text(encoding="utf-8"))
    del description["trained_on"]
    description_path.write_text(json.dumps(description), encoding="utf-8")
    old_model, new_model = (
        generators.load_generator(tmp_path / "generator"),
        generators.load_generator(generators.SHIPPED),
    )
    assert (old_model.sha256, old_model.trained_on) == (new_model.sha256, ())
    assert trained_on.synthetic_only(new_model.trained_on)
    [studies] = backbones.load_retrieval_model(backbones.SHIPPED).trained_on
    assert (studies.name, studies.synthetic, studies.images, studies.subjects) == ("Phantom", True, 1_728, 880)
