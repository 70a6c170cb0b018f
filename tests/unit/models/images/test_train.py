"""An image encoder learns which links images have, goes on after a kill, and is stored as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch

from kgp_models.images import build, checkpoint
from kgp_models.images.examples import ImageExamples
from kgp_models.images.model import image_outputs
from kgp_models.retrieval.inputs import read_pictures
from kgp_models.towers.backbones import open_backbone
from kgp_models.towers.vision import open_vision
from kgplatform.errors import InputError
from kgplatform.progress import Progress
from tests.unit.models.images import image_world as world

pytestmark = pytest.mark.slow


class _SimulatedKill(Exception):
    """In place of a kill."""


def parts(folder: Path) -> dict[str, ImageExamples]:
    return {
        build.TRAIN: world.write_images(folder, 48, 1, "a"),
        build.VALIDATION: world.write_images(folder, 24, 2, "b"),
        build.TEST: world.write_images(folder, 24, 3, "c"),
    }


@pytest.fixture(scope="module")
def trained_images(tmp_path_factory: pytest.TempPathFactory) -> build.TrainedImages:
    folder = tmp_path_factory.mktemp("images")
    images = parts(folder / "images")
    return build.train_image_model(world.SETTINGS, world.tiny_backbone(), "small", images, folder / "work", 3)


def test_links_that_the_images_show_are_told(trained_images: build.TrainedImages) -> None:
    outputs = trained_images.outputs[build.TEST]
    links = list(trained_images.model.links)
    assert links == sorted([world.LEFT, world.RIGHT, world.NOT_LEFT])
    scores = build.score_probabilities(
        trained_images.model.calibration.probabilities(outputs.logits).double().numpy(),
        outputs.targets.double().numpy(),
        build.training_shares(trained_images.outputs[build.TRAIN]),
        links,
        outputs.examples.subjects,
    )
    assert scores.auc.value > 0.9
    assert scores.auc.low <= scores.auc.value <= scores.auc.high
    assert scores.gain.value > 0.1
    assert scores.links == 3
    [data_set] = trained_images.model.trained_on
    assert (data_set.name, data_set.images, data_set.subjects) == ("Phantom", 48, 24)


def test_a_training_that_was_killed_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    images = parts(tmp_path / "images")
    settings = replace(world.SETTINGS, epochs=2, mixup=0.4, layer_rate=3.0)

    def killed(activity: str) -> Progress:
        def progress(done: int, total: int | None, **_: object) -> None:
            if activity == "training" and done == 8:
                raise _SimulatedKill

        return progress

    arguments = (world.tiny_backbone(), "small", images)
    whole = build.train_image_model(settings, *arguments, tmp_path / "whole", 3)
    with pytest.raises(_SimulatedKill):
        build.train_image_model(
            settings, world.tiny_backbone(), "small", images, tmp_path / "killed", 3, progress=killed
        )
    resumed = build.train_image_model(settings, world.tiny_backbone(), "small", images, tmp_path / "killed", 3)
    for name, weight in whole.model.classifier.state_dict().items():
        assert torch.equal(weight, resumed.model.classifier.state_dict()[name]), name
    with pytest.raises(InputError, match="other settings"):
        build.train_image_model(
            replace(settings, batch=4), world.tiny_backbone(), "small", images, tmp_path / "killed", 3
        )


def test_without_a_comparable_epoch_the_last_counts(tmp_path: Path) -> None:
    images = parts(tmp_path / "images")
    one_class = [row for row, image in enumerate(images[build.VALIDATION].images) if image.links == {world.NOT_LEFT}]
    images[build.VALIDATION] = images[build.VALIDATION].select(one_class)
    trained = build.train_image_model(
        replace(world.SETTINGS, epochs=2), world.tiny_backbone(), "small", images, tmp_path / "work", 3
    )
    assert trained.trained.best_epoch == 2


def test_smaller_pictures_are_part_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = parts(tmp_path / "images")
    settings = replace(world.SETTINGS, epochs=1, pixels=16)
    trained = build.train_image_model(settings, world.tiny_backbone(), "small", images, tmp_path / "work", 3)
    assert trained.model.picture.size == 16
    checkpoint.save_image_model(tmp_path / "model", trained.model, settings, data={}, figures={})
    monkeypatch.setattr(checkpoint, "open_frozen_backbone", lambda _: world.tiny_backbone())
    assert checkpoint.load_image_model(tmp_path / "model").picture.size == 16
    assert open_backbone(f"images:{tmp_path / 'model'}", frozen=True).picture.size == 16
    (tmp_path / "model" / checkpoint.PROJECTION).unlink()
    with pytest.raises(InputError, match="missing or changed"):
        checkpoint.load_image_model(tmp_path / "model")


def test_pictures_of_a_size_that_the_backbone_does_not_take_are_one_clear_error(tmp_path: Path) -> None:
    backbone = world.tiny_backbone()
    backbone.image_tower = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, 8))
    settings = replace(world.SETTINGS, pixels=16)
    with pytest.raises(InputError, match="does not take pictures of 16 pixels"):
        build.train_image_model(settings, backbone, "small", parts(tmp_path / "images"), tmp_path / "work", 3)


def test_too_few_images_with_a_link_are_an_error(tmp_path: Path) -> None:
    images = parts(tmp_path / "images")
    with pytest.raises(InputError, match="no link is that of 4,000 training studies"):
        build.train_image_model(
            replace(world.SETTINGS, least=4_000), world.tiny_backbone(), "small", images, tmp_path / "work", 3
        )


def test_a_stored_model_gives_the_same_and_serves_as_backbone_and_vision_encoder(
    trained_images: build.TrainedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "open_frozen_backbone", lambda _: world.tiny_backbone())
    folder = tmp_path / "model"
    checkpoint.save_image_model(
        folder, trained_images.model, world.SETTINGS, data={"images": "48"}, figures={}, dtype=torch.float32
    )
    loaded = checkpoint.load_image_model(folder)
    examples = trained_images.outputs[build.TEST].examples
    pictures = read_pictures([image.path for image in examples.images], loaded.picture)
    vectors, logits = image_outputs(loaded.classifier, loaded.picture, pictures.values)
    assert torch.allclose(logits, trained_images.outputs[build.TEST].logits, atol=1e-4)
    assert list(loaded.links) == list(trained_images.model.links)
    assert loaded.trained_on == trained_images.model.trained_on
    assert torch.allclose(loaded.shares, trained_images.model.shares, atol=1e-5)
    assert loaded.combination is not None
    assert loaded.reference is not None
    backbone = open_backbone(f"images:{folder}", frozen=True)
    assert torch.allclose(backbone.image_features(pictures.values), vectors, atol=1e-4)
    assert backbone.trained_on == loaded.trained_on
    embeddings = backbone.embed_images(pictures.values).detach()
    tower_vectors = torch.nn.functional.normalize(vectors, dim=-1)
    assert torch.allclose(embeddings @ embeddings.T, tower_vectors @ tower_vectors.T, atol=0.02), "as alike as before"
    assert backbone.reference is not None
    distances = backbone.reference.distances(embeddings)
    assert torch.allclose(distances, loaded.reference.distances(vectors), atol=0.02)
    vision = open_vision(f"images:{folder}")
    pixels = [vision.pixels(image.path) for image in examples.images]
    assert torch.allclose(vision.encode(pixels), vectors, atol=1e-4)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Phantom (synthetic, 48 images of 24 subjects, Apache-2.0)" in card
    (folder / checkpoint.WEIGHTS).write_bytes(b"changed")
    with pytest.raises(InputError, match="changed"):
        checkpoint.load_image_model(folder)
