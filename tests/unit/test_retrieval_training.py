"""Training on pairs and on the graph: it learns, stops, goes on after a kill; and a trained model on disk."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from kgp_models.generator.language import small_tokenizer
from kgp_models.retrieval import checkpoint
from kgp_models.retrieval.backbone import Backbone, Picture
from kgp_models.retrieval.encode import open_encoder
from kgp_models.retrieval.fashionklip import Alignment, FashionSettings
from kgp_models.retrieval.inputs import examples, read_pictures, vectors_of_texts
from kgp_models.retrieval.knowledgeclip import KnowledgeSettings
from kgp_models.retrieval.settings import FineTuning, RetrievalSettings
from kgp_models.retrieval.small import small_backbone
from kgp_models.retrieval.train import STATE, Trained, evaluated, fine_tune, pretrain, recall, settle
from kgp_models.varied import varied
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped
from kgplatform.retrieval.pairs import Pair
from tests.interrupts import Progress, interrupted_at
from tests.unit import retrieval_world as world

pytestmark = pytest.mark.slow

TUNING = FineTuning(learning_rate=2e-3, epochs=4, patience=4, batch=8, varied=True)
SETTINGS = RetrievalSettings(backbone="new", small=world.SIZES, tuning=TUNING)


class Killed(Exception):
    """The machine goes down."""


def flat(backbone: Backbone) -> Tensor:
    return torch.cat([value.detach().float().flatten() for value in backbone.state_dict().values()])


def killed_after(steps: int) -> object:
    def progress(done: int, total: int | None) -> None:
        if done == steps:
            raise Killed

    return progress


def test_a_backbone_learns_to_find_pictures_by_their_reports(tmp_path: Path) -> None:
    backbone = world.backbone()
    train, valid = world.example_pairs(64, 1), world.example_pairs(24, 2)
    before = evaluated(backbone, valid)["text_to_image"].means()["MRR"]
    trained = fine_tune(backbone, train, valid, replace(TUNING, epochs=12, patience=12), tmp_path, 3)
    assert trained.history[-1]["itc"] < trained.history[0]["itc"]
    assert evaluated(backbone, valid)["text_to_image"].means()["MRR"] > before
    assert trained.best == max(row["recall"] for row in trained.history)


def test_it_stops_when_patience_ends(tmp_path: Path) -> None:
    still = replace(TUNING, learning_rate=1e-12, epochs=9, patience=2, varied=False)
    trained = fine_tune(world.backbone(), world.example_pairs(16, 1), world.example_pairs(24, 2), still, tmp_path, 3)
    assert (trained.epochs, trained.best_epoch) == (3, 1)  # nothing is learnt, so the first is the best


def test_the_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    backbone, valid = world.backbone(), world.example_pairs(24, 2)

    def spoilt(done: int, total: int | None) -> None:
        if done == total:  # the last step of the last epoch: no text is told from another any more
            with torch.no_grad():
                for parameter in backbone.text_head.parameters():
                    parameter.zero_()

    trained = fine_tune(backbone, world.example_pairs(64, 1), valid, TUNING, tmp_path, 3, progress=spoilt)
    figures = [row["recall"] for row in trained.history]
    assert trained.best == max(figures) > figures[-1]  # it got worse again
    assert recall(evaluated(backbone, valid)) == pytest.approx(trained.best, abs=1e-6)


def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    train, valid = world.example_pairs(16, 1), world.example_pairs(8, 2)
    whole = world.backbone()
    expected = fine_tune(whole, train, valid, TUNING, tmp_path / "whole", 3)
    for at in (3, 5, 7):  # of 8 steps, in the second to the last epoch
        backbone = world.backbone()
        with pytest.raises(Killed):
            fine_tune(backbone, train, valid, TUNING, tmp_path / str(at), 3, progress=killed_after(at))  # type: ignore[arg-type]
        backbone = world.backbone()
        found = fine_tune(backbone, train, valid, TUNING, tmp_path / str(at), 3)
        assert found.history == expected.history
        assert torch.equal(flat(backbone), flat(whole))


def test_a_pretraining_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    knowledge, pictures = world.graph()
    settings = KnowledgeSettings(epochs=3, batch=8, learning_rate=1e-3, layers=1, heads=2, pairs=4, relations=4)
    pairs = world.example_pairs(16, 1)
    whole = world.backbone()
    expected = pretrain(whole, knowledge, pictures, pairs, settings, TUNING, tmp_path / "whole", 3)
    backbone = world.backbone()
    with pytest.raises(Killed):
        pretrain(backbone, knowledge, pictures, pairs, settings, TUNING, tmp_path / "cut", 3, killed_after(5))  # type: ignore[arg-type]
    backbone = world.backbone()
    found = pretrain(backbone, knowledge, pictures, pairs, settings, TUNING, tmp_path / "cut", 3)
    assert found.history == expected.history
    assert torch.equal(flat(backbone), flat(whole))


@pytest.mark.parametrize("method", ["plain", "fashionklip"])
def test_a_training_that_is_interrupted_loses_no_step(method: str, tmp_path: Path) -> None:
    train, valid = world.example_pairs(16, 1), world.example_pairs(8, 2)
    knowledge, pictures = world.graph()
    drawn = FashionSettings(drawn=2)  # by the epoch's random numbers

    def tuned(folder: Path, backbone: Backbone, progress: Progress = lambda done, total: None) -> Trained:
        said = world.shown_by(16, 1)
        alignment = Alignment(knowledge, pictures, said, drawn) if method == "fashionklip" else None
        return fine_tune(backbone, train, valid, TUNING, folder, 3, alignment, 0.5, progress)

    whole = world.backbone()
    expected = tuned(tmp_path / "whole", whole)
    for at in (3, 6, 7):  # of 8 steps, two an epoch: within an epoch, and at its end
        with pytest.raises(Stopped, match=rf"stopped after step {at} of 8, saved in .*{STATE}"):
            tuned(tmp_path / "cut", world.backbone(), interrupted_at(at))
    backbone, seen = world.backbone(), list[int]()
    found = tuned(tmp_path / "cut", backbone, lambda done, total: seen.append(done))
    assert seen == [8]
    assert found.history == expected.history
    assert torch.equal(flat(backbone), flat(whole))
    assert not list(tmp_path.rglob("*.part"))


def test_a_pretraining_that_is_interrupted_loses_no_step(tmp_path: Path) -> None:
    knowledge, pictures = world.graph()
    settings = KnowledgeSettings(epochs=1, batch=4, learning_rate=1e-3, layers=1, heads=2, pairs=4, relations=4)
    pairs = world.example_pairs(16, 1)
    whole, seen = world.backbone(), list[int]()
    given = (knowledge, pictures, pairs, settings, replace(TUNING, varied=True))
    expected = pretrain(whole, *given, tmp_path / "whole", 3, lambda done, total: seen.append(done))
    assert len(seen) > 2, "an epoch has several steps"
    with pytest.raises(Stopped, match="stopped after step 2 of"):
        pretrain(world.backbone(), *given, tmp_path / "cut", 3, interrupted_at(2))
    backbone = world.backbone()
    found = pretrain(backbone, *given, tmp_path / "cut", 3)
    assert found.history == expected.history
    assert torch.equal(flat(backbone), flat(whole))


def test_a_training_that_is_killed_loses_no_more_than_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, valid = world.example_pairs(16, 1), world.example_pairs(8, 2)
    steps: list[int] = []
    monkeypatch.setattr("kgplatform.interrupt.SHARE", 0)
    for seconds, again in ((0.0, 4), (3600.0, 3)):  # the step that was not saved, or the whole epoch
        monkeypatch.setattr("kgplatform.interrupt.SECONDS", seconds)
        given = (train, valid, TUNING, tmp_path / str(again), 3)
        with pytest.raises(Killed):
            fine_tune(world.backbone(), *given, progress=killed_after(4))  # type: ignore[arg-type]
        steps.clear()
        fine_tune(world.backbone(), *given, progress=lambda done, total: steps.append(done))
        assert steps[0] == again


def test_settled_statistics_are_those_of_the_pictures_by_the_weights_as_they_are() -> None:
    backbone = world.backbone()
    pictures = world.example_pairs(64, 1).images
    backbone.train()
    with torch.no_grad():
        for _ in range(3):  # statistics of other pictures
            backbone.image_features(torch.zeros_like(pictures))
        by_the_batch = backbone.image_features(pictures)
        trailing = backbone.eval().image_features(pictures)
        backbone.train()
        settle(backbone, pictures)
        assert backbone.training
        settled = backbone.eval().image_features(pictures)
    assert float((settled - by_the_batch).abs().max()) < 0.05 * float(by_the_batch.abs().max())
    assert float((trailing - by_the_batch).abs().max()) > 0.2 * float(by_the_batch.abs().max())
    norms = [part for part in backbone.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def test_the_state_is_whole_or_not_there(tmp_path: Path) -> None:
    train, valid = world.example_pairs(16, 1), world.example_pairs(8, 2)
    fine_tune(world.backbone(), train, valid, replace(TUNING, epochs=1), tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_a_frozen_backbone_trains_its_heads_on_features_alone(tmp_path: Path) -> None:
    pairs = [_stored(tmp_path, n) for n in range(12)]
    backbone = world.backbone(frozen=True)
    given = examples(pairs, backbone)
    assert given.images.shape == (12, 512)
    assert given.text_features is not None
    towers = {name: value.clone() for name, value in backbone.state_dict().items() if "tower" in name}
    fine_tune(backbone, given, given, TUNING, tmp_path / "work", 3)
    after = backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in towers.items())
    assert not torch.equal(after["image_head.weight"], world.backbone(frozen=True).state_dict()["image_head.weight"])


def test_varied_pictures_stay_pictures_and_are_never_mirrored() -> None:
    grey = torch.zeros(6, 1, 64, 64, dtype=torch.uint8)
    grey[:, :, 20:40, 4:20] = 200  # at the left
    found = varied(grey, torch.Generator().manual_seed(1))
    assert found.shape == grey.shape
    assert float(found.abs().max()) < 1.6
    assert bool((found[:, :, :, :32].mean((1, 2, 3)) > found[:, :, :, 32:].mean((1, 2, 3)) + 0.1).all())
    again = varied(grey, torch.Generator().manual_seed(1))
    assert torch.equal(found, again)


def _stored(folder: Path, number: int) -> Pair:
    [shown] = world.shown_by(1, number)
    path = folder / f"{number}.png"
    Image.fromarray(world.picture(shown, number)[0].numpy()).save(path)
    return Pair(str(number), path, world.report(shown, number), str(number), str(number), "AP", "Tiny")


def test_images_that_cannot_be_read_are_told_and_left_out(tmp_path: Path) -> None:
    pairs = [_stored(tmp_path, n) for n in range(4)]
    pairs[1].path.write_bytes(pairs[1].path.read_bytes()[:50])
    pairs[2].path.unlink()
    told: list[str] = []
    given = examples(pairs, world.backbone(), told=told.append)
    assert [pair.image for pair in given.pairs] == ["0", "3"]
    assert len(told) == 2
    assert all(str(pairs[place].path) in line for place, line in zip((1, 2), told, strict=True))
    assert not any(word in line for line in told for word in world.CONCEPTS)
    for pair in pairs:
        pair.path.unlink(missing_ok=True)
    with pytest.raises(InputError, match="none of the images can be read"):
        examples(pairs, world.backbone())


def test_pictures_are_kept_and_read_again_when_a_file_changes(tmp_path: Path) -> None:
    paths = [_stored(tmp_path, n).path for n in range(3)]
    cache = tmp_path / "cache"
    first = read_pictures(paths, Picture(32), cache)
    assert len(list(cache.iterdir())) == 1
    assert torch.equal(read_pictures(paths, Picture(32), cache).values, first.values)
    Image.fromarray(np.full((32, 32), 7, dtype=np.uint8)).save(paths[0])
    assert not torch.equal(read_pictures(paths, Picture(32), cache).values, first.values)


def test_reading_pictures_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgp_models.retrieval.inputs.KEPT", 4)
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for number, path in enumerate(paths):
        Image.new("L", (40, 40), 20 * number + 5).save(path)
    paths[5].write_bytes(b"")
    picture, cache = world.backbone().picture, tmp_path / "cache"
    whole = read_pictures(paths, picture)
    with pytest.raises(Killed):
        read_pictures(paths, picture, cache, progress=killed_after(7))  # type: ignore[arg-type]
    done: list[int] = []
    again = read_pictures(paths, picture, cache, progress=lambda number, total: done.append(number))
    assert done == [5, 6, 7, 8, 9, 10]
    assert again.kept == whole.kept == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert torch.equal(again.values, whole.values)


def test_two_trainings_may_keep_the_same_pictures_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [_stored(tmp_path, n).path for n in range(3)]
    written, save = Barrier(2), np.savez

    def savez(*arguments: Any, **arrays: Any) -> None:
        save(*arguments, **arrays)
        written.wait(timeout=10)

    monkeypatch.setattr(np, "savez", savez)
    with ThreadPoolExecutor(2) as pool:
        one, other = (pool.submit(read_pictures, paths, Picture(32), tmp_path / "cache") for _ in range(2))
    assert torch.equal(one.result().values, other.result().values)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npz"]


def saved(folder: Path, settings: RetrievalSettings = SETTINGS) -> Backbone:
    tokenizer = small_tokenizer([world.report([n % 4], n) for n in range(20)], world.SIZES.vocabulary)
    backbone = small_backbone(tokenizer, world.SIZES, 4).eval()
    checkpoint.save(
        folder, backbone, settings, base="small", tokenizer=tokenizer, data={"pairs": "abc"}, figures={"R@10": 0.5}
    )
    return backbone


def test_a_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    backbone = saved(tmp_path)
    again = checkpoint.load(tmp_path)
    texts = ["There is effusion.", "No edema. Study 7."]
    assert torch.allclose(vectors_of_texts(again, texts), vectors_of_texts(backbone, texts), atol=5e-3)
    images = world.example_pairs(3, 1).images
    difference = again.embed_images(images) - backbone.embed_images(images)
    assert float(difference.detach().abs().max()) < 5e-3  # kept in half precision
    encoder = open_encoder(str(tmp_path))
    assert encoder.sees
    assert encoder.width == 512
    assert encoder.texts(texts).shape == (2, 512)
    assert "R@10 | 0.5" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("damage", ["cut", "other", "gone", "form", "json", "settings", "outside"])
def test_a_damaged_model_is_one_clear_error(damage: str, tmp_path: Path) -> None:
    saved(tmp_path)
    weights, about = tmp_path / checkpoint.WEIGHTS, tmp_path / checkpoint.ABOUT
    document = json.loads(about.read_text())
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "other":
        (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    elif damage == "gone":
        weights.unlink()
    elif damage == "form":
        about.write_text(json.dumps({**document, "form": 99}))
    elif damage == "json":
        about.write_text("{")
    elif damage == "settings":
        document["settings"]["small"]["pixels"] = 64
        about.write_text(json.dumps(document))
    else:
        document["files"] = {"../outside": "0"}
        about.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        checkpoint.load(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"metod": "backbone"}, "there is no setting metod"),
        ({"method": "clip"}, "method is not one of"),
        ({"tuning": {"epochs": 0}}, "tuning.epochs is out of range"),
        ({"tuning": {"learning_rate": "fast"}}, "tuning.learning_rate is of the wrong kind"),
        ({"tuning": {"patience": float("nan")}}, "tuning.patience is of the wrong kind"),
        ({"small": {"pixels": 100}}, "no multiple of 32"),
        ({"fashion": {"nearest": 11}}, "nearest is more than prototypes"),
        ({"knowledge": {"prompt": "x"}}, "a prompt has no {}"),
        ([], "must be a mapping"),
    ],
)
def test_settings_that_are_wrong_are_one_clear_error(document: object, what: str) -> None:
    with pytest.raises(InputError, match=what):
        RetrievalSettings.of(document)


def test_the_papers_settings_are_the_defaults() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "settings" / "retrieval" / "paper"
    for method in ("backbone", "fashionklip", "knowledgeclip"):
        settings = RetrievalSettings.read(folder / f"{method}.yaml")
        assert settings.tuning == FineTuning()
        assert (settings.tuning.learning_rate, settings.tuning.epochs, settings.tuning.patience) == (1e-4, 30, 3)
        assert settings.method == method
        assert RetrievalSettings.of(settings.as_dict()) == settings
