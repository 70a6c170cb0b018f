"""Training on pairs and on the graph: it learns, stops, goes on after a kill."""

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

from kgp_models.retrieval import build
from kgp_models.retrieval.fashionklip import Alignment, FashionSettings
from kgp_models.retrieval.inputs import examples, read_pictures
from kgp_models.retrieval.knowledgeclip import KnowledgeSettings
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.retrieval.train import RetrievalTrainingResult, evaluated, fine_tune, pretrain, recall, settle
from kgp_models.towers.backbone import Backbone, Picture
from kgp_models.training.augmentation import varied
from kgp_models.training.training_state import STATE
from kgplatform.datasets.pair_source import Pair
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped
from kgplatform.progress import Progress, no_progress
from tests.interrupts import interrupted_at
from tests.progress_records import ProgressRecord
from tests.unit.models.retrieval import retrieval_world as world
from tests.unit.models.retrieval.retrieval_world import TUNING

pytestmark = pytest.mark.slow


class _SimulatedKill(Exception):
    """The machine goes down."""


def flat(backbone: Backbone) -> Tensor:
    return torch.cat([weight.detach().float().flatten() for weight in backbone.state_dict().values()])


def killed_after(steps: int) -> Progress:
    def progress(step_count: int, total: int | None, **_: object) -> None:
        if step_count == steps:
            raise _SimulatedKill

    return progress


def test_a_backbone_learns_to_find_pictures_by_their_reports(tmp_path: Path) -> None:
    backbone = world.tiny_retrieval_backbone()
    train_pairs, valid_pairs = world.example_pairs(64, 1), world.example_pairs(24, 2)
    original_rank = evaluated(backbone, valid_pairs)["text_to_image"].means()["MRR"]
    trained = fine_tune(backbone, train_pairs, valid_pairs, replace(TUNING, epochs=12, patience=12), tmp_path, 3)
    assert trained.history[-1]["itc"] < trained.history[0]["itc"]
    assert evaluated(backbone, valid_pairs)["text_to_image"].means()["MRR"] > original_rank
    assert trained.best == max(epoch_record["recall"] for epoch_record in trained.history)


def test_texts_look_among_further_images_that_have_no_texts_of_their_own() -> None:
    backbone, tested, others = (
        world.tiny_retrieval_backbone(),
        world.example_pairs(16, 2),
        world.example_pairs(24, 3),
    )
    alone, among = evaluated(backbone, tested), evaluated(backbone, tested, others)
    assert among["text_to_image"].items == 40
    assert among["image_to_text"].items == alone["image_to_text"].items == len(alone["text_to_image"].first)
    assert (among["text_to_image"].first >= alone["text_to_image"].first).all()
    assert (among["text_to_image"].first > alone["text_to_image"].first).any()


def test_it_stops_when_patience_ends(tmp_path: Path) -> None:
    still_tuning = replace(TUNING, learning_rate=1e-12, epochs=9, patience=2, varied=False)
    trained = fine_tune(
        world.tiny_retrieval_backbone(),
        world.example_pairs(16, 1),
        world.example_pairs(24, 2),
        still_tuning,
        tmp_path,
        3,
    )
    assert (trained.epochs, trained.best_epoch) == (3, 1)  # nothing is learnt, so the first is the best


def test_the_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    backbone, valid_pairs = world.tiny_retrieval_backbone(), world.example_pairs(24, 2)

    def spoilt(step_count: int, total: int | None, **_: object) -> None:
        if step_count == total:  # the last step of the last epoch: no text is told from another any more
            with torch.no_grad():
                for parameter in backbone.text_head.parameters():
                    parameter.zero_()

    trained = fine_tune(backbone, world.example_pairs(64, 1), valid_pairs, TUNING, tmp_path, 3, progress=spoilt)
    recalls = [epoch_record["recall"] for epoch_record in trained.history]
    assert trained.best == max(recalls) > recalls[-1]  # it got worse again
    assert recall(evaluated(backbone, valid_pairs)) == pytest.approx(trained.best, abs=1e-6)


def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    train_pairs, valid_pairs = world.example_pairs(16, 1), world.example_pairs(8, 2)
    whole_backbone = world.tiny_retrieval_backbone()
    expected = fine_tune(whole_backbone, train_pairs, valid_pairs, TUNING, tmp_path / "whole", 3)
    for step in (3, 5, 7):  # of 8 steps, in the second to the last epoch
        backbone = world.tiny_retrieval_backbone()
        with pytest.raises(_SimulatedKill):
            fine_tune(backbone, train_pairs, valid_pairs, TUNING, tmp_path / str(step), 3, progress=killed_after(step))
        backbone = world.tiny_retrieval_backbone()
        resumed = fine_tune(backbone, train_pairs, valid_pairs, TUNING, tmp_path / str(step), 3)
        assert resumed.history == expected.history
        assert torch.equal(flat(backbone), flat(whole_backbone))


def test_progress_has_the_loss_of_each_training(tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    settings = KnowledgeSettings(epochs=1, batch=8, learning_rate=1e-3, layers=1, heads=2, pairs=4, relations=4)
    pairs, record = world.example_pairs(16, 1), ProgressRecord()
    pretrained = pretrain(
        world.tiny_retrieval_backbone(), knowledge, graph_images, pairs, settings, TUNING, tmp_path / "g", 3, record
    )
    assert record.has_losses()
    assert record.losses[-1] == pytest.approx(sum(pretrained.history[0].values()), rel=1e-5), "of all steps, so few"
    record = ProgressRecord()
    fine_tune(
        world.tiny_retrieval_backbone(), pairs, world.example_pairs(8, 2), TUNING, tmp_path / "p", 3, progress=record
    )
    assert record.done == list(range(1, 9)) and record.total == 8
    assert record.has_losses()


def test_a_pretraining_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    settings = KnowledgeSettings(epochs=3, batch=8, learning_rate=1e-3, layers=1, heads=2, pairs=4, relations=4)
    pairs = world.example_pairs(16, 1)
    whole_backbone = world.tiny_retrieval_backbone()
    expected = pretrain(whole_backbone, knowledge, graph_images, pairs, settings, TUNING, tmp_path / "whole", 3)
    backbone = world.tiny_retrieval_backbone()
    with pytest.raises(_SimulatedKill):
        pretrain(backbone, knowledge, graph_images, pairs, settings, TUNING, tmp_path / "cut", 3, killed_after(5))
    backbone = world.tiny_retrieval_backbone()
    resumed = pretrain(backbone, knowledge, graph_images, pairs, settings, TUNING, tmp_path / "cut", 3)
    assert resumed.history == expected.history
    assert torch.equal(flat(backbone), flat(whole_backbone))


@pytest.mark.parametrize("method", ["plain", "fashionklip"])
def test_an_interrupted_retrieval_training_loses_no_step(method: str, tmp_path: Path) -> None:
    train_pairs, valid_pairs = world.example_pairs(16, 1), world.example_pairs(8, 2)
    knowledge, graph_images = world.picture_graph()
    fashion_settings = FashionSettings(drawn=2)  # by the epoch's random numbers

    def tuned(folder: Path, backbone: Backbone, progress: Progress = no_progress) -> RetrievalTrainingResult:
        mentions = world.random_squares(16, 1)
        alignment = Alignment(knowledge, graph_images, mentions, fashion_settings) if method == "fashionklip" else None
        return fine_tune(backbone, train_pairs, valid_pairs, TUNING, folder, 3, alignment, 0.5, progress)

    whole_backbone = world.tiny_retrieval_backbone()
    expected = tuned(tmp_path / "whole", whole_backbone)
    for stopped_step in (3, 6, 7):  # of 8 steps, two an epoch: within an epoch, and at its end
        with pytest.raises(Stopped, match=rf"stopped after step {stopped_step} of 8, saved in .*{STATE}"):
            tuned(tmp_path / "cut", world.tiny_retrieval_backbone(), interrupted_at(stopped_step))
    backbone, step_counts = world.tiny_retrieval_backbone(), list[int]()
    resumed = tuned(tmp_path / "cut", backbone, lambda step_count, total, **_: step_counts.append(step_count))
    assert step_counts == [8]
    assert resumed.history == expected.history
    assert torch.equal(flat(backbone), flat(whole_backbone))
    assert not list(tmp_path.rglob("*.part"))


def test_a_pretraining_that_is_interrupted_loses_no_step(tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    settings = KnowledgeSettings(epochs=1, batch=4, learning_rate=1e-3, layers=1, heads=2, pairs=4, relations=4)
    pairs = world.example_pairs(16, 1)
    whole_backbone, step_counts = world.tiny_retrieval_backbone(), list[int]()
    arguments = (knowledge, graph_images, pairs, settings, replace(TUNING, varied=True))
    expected = pretrain(
        whole_backbone, *arguments, tmp_path / "whole", 3, lambda step_count, total, **_: step_counts.append(step_count)
    )
    assert len(step_counts) > 2, "an epoch has several steps"
    with pytest.raises(Stopped, match="stopped after step 2 of"):
        pretrain(world.tiny_retrieval_backbone(), *arguments, tmp_path / "cut", 3, interrupted_at(2))
    backbone = world.tiny_retrieval_backbone()
    resumed = pretrain(backbone, *arguments, tmp_path / "cut", 3)
    assert resumed.history == expected.history
    assert torch.equal(flat(backbone), flat(whole_backbone))


def test_a_training_that_is_killed_loses_no_more_than_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_pairs, valid_pairs = world.example_pairs(16, 1), world.example_pairs(8, 2)
    steps: list[int] = []
    monkeypatch.setattr("kgplatform.interrupt.SHARE", 0)
    for seconds, first_step in ((0.0, 4), (3600.0, 3)):  # the step that was not saved, or the whole epoch
        monkeypatch.setattr("kgplatform.interrupt.SECONDS", seconds)
        arguments = (train_pairs, valid_pairs, TUNING, tmp_path / str(first_step), 3)
        with pytest.raises(_SimulatedKill):
            fine_tune(world.tiny_retrieval_backbone(), *arguments, progress=killed_after(4))
        steps.clear()
        fine_tune(
            world.tiny_retrieval_backbone(),
            *arguments,
            progress=lambda step_count, total, **_: steps.append(step_count),
        )
        assert steps[0] == first_step


def test_settled_statistics_are_those_of_the_pictures_by_the_weights_as_they_are() -> None:
    backbone = world.tiny_retrieval_backbone()
    pair_images = world.example_pairs(64, 1).images
    backbone.train()
    with torch.no_grad():
        for _ in range(3):  # statistics of other pictures
            backbone.image_features(torch.zeros_like(pair_images))
        batch_features = backbone.image_features(pair_images)
        trailing_features = backbone.eval().image_features(pair_images)
        backbone.train()
        settle(backbone, pair_images)
        assert backbone.training
        final_features = backbone.eval().image_features(pair_images)
    assert float((final_features - batch_features).abs().max()) < 0.05 * float(batch_features.abs().max())
    assert float((trailing_features - batch_features).abs().max()) > 0.2 * float(batch_features.abs().max())
    norm_layers = [submodule for submodule in backbone.modules() if isinstance(submodule, torch.nn.BatchNorm2d)]
    assert {norm_layer.momentum for norm_layer in norm_layers} == {0.1}


def test_the_state_is_whole_or_not_there(tmp_path: Path) -> None:
    train_pairs, valid_pairs = world.example_pairs(16, 1), world.example_pairs(8, 2)
    fine_tune(world.tiny_retrieval_backbone(), train_pairs, valid_pairs, replace(TUNING, epochs=1), tmp_path, 3)
    assert [file_path.name for file_path in tmp_path.iterdir()] == [STATE]


def test_a_frozen_backbone_trains_its_heads_on_features_alone(tmp_path: Path) -> None:
    pairs = [_stored(tmp_path, number) for number in range(12)]
    backbone = world.tiny_retrieval_backbone(frozen=True)
    prepared = examples(pairs, backbone)
    assert prepared.images.shape == (12, 512)
    assert prepared.text_features is not None
    towers = {
        weight_name: weight.clone() for weight_name, weight in backbone.state_dict().items() if "tower" in weight_name
    }
    fine_tune(backbone, prepared, prepared, TUNING, tmp_path / "work", 3)
    trained_state = backbone.state_dict()
    assert all(torch.equal(weight, trained_state[weight_name]) for weight_name, weight in towers.items())
    assert not torch.equal(
        trained_state["image_head.weight"], world.tiny_retrieval_backbone(frozen=True).state_dict()["image_head.weight"]
    )


def test_features_of_frozen_towers_are_computed_once_for_all_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [_stored(tmp_path, number) for number in range(6)]
    cache_folder = tmp_path / "cache"
    computed = examples(pairs, world.tiny_retrieval_backbone(frozen=True), cache_folder)
    without_cache = examples(pairs, world.tiny_retrieval_backbone(frozen=True))
    assert torch.equal(computed.images, without_cache.images)
    again = world.tiny_retrieval_backbone(frozen=True)
    for tower in (again.image_tower, again.text_tower):
        monkeypatch.setattr(tower, "forward", None)
    cached = examples(pairs, again, cache_folder)
    assert torch.equal(cached.images, computed.images)
    assert cached.text_features is not None
    assert computed.text_features is not None
    assert torch.equal(cached.text_features, computed.text_features)
    Image.fromarray(world.bright_squares_picture((1,), 9)[0].numpy()).save(pairs[0].path)
    changed = examples(pairs, world.tiny_retrieval_backbone(frozen=True), cache_folder)
    assert not torch.equal(changed.images[0], computed.images[0])
    assert torch.allclose(changed.images[1:], computed.images[1:], atol=1e-6)


def test_varied_pictures_stay_pictures_and_are_never_mirrored() -> None:
    grey_images = torch.zeros(6, 1, 64, 64, dtype=torch.uint8)
    grey_images[:, :, 20:40, 4:20] = 200  # at the left
    varied_images = varied(grey_images, torch.Generator().manual_seed(1))
    assert varied_images.shape == grey_images.shape
    assert float(varied_images.abs().max()) < 1.6
    assert bool((varied_images[:, :, :, :32].mean((1, 2, 3)) > varied_images[:, :, :, 32:].mean((1, 2, 3)) + 0.1).all())
    repeated = varied(grey_images, torch.Generator().manual_seed(1))
    assert torch.equal(varied_images, repeated)


def _stored(folder: Path, number: int) -> Pair:
    [concepts] = world.random_squares(1, number)
    image_path = folder / f"{number}.png"
    Image.fromarray(world.bright_squares_picture(concepts, number)[0].numpy()).save(image_path)
    return Pair(str(number), image_path, world.picture_report(concepts, number), str(number), str(number), "AP", "Tiny")


def test_images_that_cannot_be_read_are_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = [_stored(tmp_path, number) for number in range(4)]
    pairs[1].path.write_bytes(pairs[1].path.read_bytes()[:50])
    pairs[2].path.unlink()
    prepared = examples(pairs, world.tiny_retrieval_backbone(), part="train")
    messages = list(caplog.messages)
    assert [pair.image for pair in prepared.pairs] == ["0", "3"]
    assert len(messages) == 2
    assert all(message.startswith("train: left out: ") for message in messages)
    assert all(str(pairs[pair_index].path) in message for pair_index, message in zip((1, 2), messages, strict=True))
    assert not any(word in message for message in messages for word in world.CONCEPTS)
    for pair in pairs:
        pair.path.unlink(missing_ok=True)
    with pytest.raises(InputError, match="none of the images can be read"):
        examples(pairs, world.tiny_retrieval_backbone())


def test_pictures_are_kept_and_read_again_when_a_file_changes(tmp_path: Path) -> None:
    image_paths = [_stored(tmp_path, number).path for number in range(3)]
    cache_folder = tmp_path / "cache"
    original = read_pictures(image_paths, Picture(32), cache_folder)
    assert len(list(cache_folder.iterdir())) == 1
    assert torch.equal(read_pictures(image_paths, Picture(32), cache_folder).values, original.values)
    Image.fromarray(np.full((32, 32), 7, dtype=np.uint8)).save(image_paths[0])
    assert not torch.equal(read_pictures(image_paths, Picture(32), cache_folder).values, original.values)


def test_reading_pictures_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgp_models.retrieval.inputs.IMAGES_PER_FILE", 4)
    image_paths = [tmp_path / f"{number}.png" for number in range(10)]
    for number, image_path in enumerate(image_paths):
        Image.new("L", (40, 40), 20 * number + 5).save(image_path)
    image_paths[5].write_bytes(b"")
    picture_form, cache_folder = world.tiny_retrieval_backbone().picture, tmp_path / "cache"
    complete = read_pictures(image_paths, picture_form)
    with pytest.raises(_SimulatedKill):
        read_pictures(image_paths, picture_form, cache_folder, progress=killed_after(7))
    read_counts: list[int] = []
    resumed = read_pictures(
        image_paths, picture_form, cache_folder, progress=lambda number, total, **_: read_counts.append(number)
    )
    assert read_counts == [5, 6, 7, 8, 9, 10]
    assert resumed.readable == complete.readable == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert torch.equal(resumed.values, complete.values)


def test_two_trainings_may_keep_the_same_pictures_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_paths = [_stored(tmp_path, number).path for number in range(3)]
    barrier, original_savez = Barrier(2), np.savez

    def savez(*arguments: Any, **arrays: Any) -> None:
        original_savez(*arguments, **arrays)
        barrier.wait(timeout=10)

    monkeypatch.setattr(np, "savez", savez)
    with ThreadPoolExecutor(2) as pool:
        first_read, second_read = (
            pool.submit(read_pictures, image_paths, Picture(32), tmp_path / "cache") for _ in range(2)
        )
    assert torch.equal(first_read.result().values, second_read.result().values)
    assert [cache_path.suffix for cache_path in (tmp_path / "cache").iterdir()] == [".npz"]


def test_the_note_on_a_training_does_not_grow_with_its_pairs(tmp_path: Path) -> None:
    pairs = [
        Pair(str(number), tmp_path / f"{number}.png", f"report {number}", "1", "1", "AP", "Tiny")
        for number in range(5_000)
    ]
    notes = [
        build._about(RetrievalSettings(), build.RetrievalInputs({"train": part}), 1, tmp_path)
        for part in (pairs, pairs[:-1], [*pairs[:-1], replace(pairs[-1], text="another report")])
    ]
    assert len(json.dumps(notes[0])) < 5_000
    assert len({json.dumps(note) for note in notes}) == 3
