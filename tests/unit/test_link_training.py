"""Settings, training and checkpoints: what is learnt, interrupted, resumed, kept and refused."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgplatform.errors import InputError
from kgplatform.export import splits
from kgplatform.export.splits import Split
from kgplatform.interrupt import Stopped
from tests.unit.link_graphs import PAPER, QUICK, N, R, small_arguments, small_graph

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import checkpoint, zoo  # noqa: E402
from kgp_models.link_prediction.evaluate import Known, evaluate  # noqa: E402
from kgp_models.link_prediction.objectives import objective  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import optimizer, step, train  # noqa: E402


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_every_model_of_the_paper_learns_a_small_graph(path: Path) -> None:
    written = TrainingSettings.read(path)
    assert (written.optimizer, written.batch_size, written.learning_rate) == ("adamw", 2048, 1e-3)
    assert (written.epochs, written.patience) == (500, 5)
    assert {len(row) for row in written.paper.values()} == {4}
    settings = replace(written, arguments={**written.arguments, **small_arguments(written.model)}, learning_rate=0.02)
    triples = small_graph()
    model, scorer = zoo.build(settings, N, R, seed=0)
    torch.manual_seed(0)
    steps = optimizer(settings, model)
    loss = objective(settings, triples.ids, N, R)
    model.train()
    losses = [np.mean([float(step(model, scorer, steps, loss, batch)) for batch in loss.batches()]) for _ in range(60)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:2])
    model.eval()
    known = Known(triples.ids, N, R)
    assert evaluate(scorer, triples.ids, known).metrics()["tail"].mr < 0.8 * (N + 1) / 2


def test_the_paper_has_17_models() -> None:
    assert len(PAPER) == 17
    assert {TrainingSettings.read(path).model for path in PAPER} == set(zoo.ZOO) - {"complex-n3"}


@pytest.fixture
def split() -> Split:
    return splits.make("paper", small_graph(), 1)


def test_an_interrupted_training_ends_as_if_it_had_not_been(split: Split, tmp_path: Path) -> None:
    settings = TrainingSettings.of(QUICK)
    whole = train(settings, split, seed=3, folder=tmp_path / "whole")

    def interrupt(done: int, total: int | None) -> None:
        if done == 5:  # an epoch after a check
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, split, seed=3, folder=tmp_path / "cut", progress=interrupt)
    assert checkpoint.has_progress(tmp_path / "cut")
    epochs: list[int] = []
    resumed = train(settings, split, seed=3, folder=tmp_path / "cut", progress=lambda done, total: epochs.append(done))
    assert epochs == [5, 6]
    assert [h["mrr"] for h in resumed.history] == [h["mrr"] for h in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert not checkpoint.has_progress(tmp_path / "cut")


@pytest.mark.parametrize("objective", ["softplus", "cross-entropy"])
def test_a_training_stopped_within_an_epoch_ends_as_if_it_had_not_been(
    objective: str, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings.of({**QUICK, "objective": objective, "batch_size": 16, "epochs": 3})
    whole = train(settings, split, seed=3, folder=tmp_path / "whole")
    steps = 0

    def stepped(*given: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 3:
            signal.raise_signal(signal.SIGINT)
        return step(*given)

    monkeypatch.setattr("kgp_models.link_prediction.train.step", stepped)
    with pytest.raises(Stopped, match=r"stopped after 3 steps of epoch 1 of 3, saved in .*cut"):
        train(settings, split, seed=3, folder=tmp_path / "cut")
    resumed = train(settings, split, seed=3, folder=tmp_path / "cut")
    assert [h | {"loss": None} for h in resumed.history] == [h | {"loss": None} for h in whole.history]
    assert [h["loss"] for h in resumed.history] == [h["loss"] for h in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_training_stops_when_the_validation_rank_no_longer_rises(split: Split) -> None:
    settings = TrainingSettings.of({**QUICK, "epochs": 400, "patience": 2, "learning_rate": 0.05})
    trained = train(settings, split, seed=0)
    assert trained.epochs == trained.best_epoch + 2 * 2 < 400
    best = max(trained.history, key=lambda check: check["mrr"])
    assert (best["epoch"], best["mrr"]) == (trained.best_epoch, trained.best_mrr)
    known = Known(split.triples.ids, N, R)
    again = evaluate(trained.scorer, split.valid, known).metrics()
    assert np.mean([metrics.mrr for metrics in again.values()]) == pytest.approx(trained.best_mrr)


def test_a_checkpoint_gives_the_model_back_with_its_names(split: Split, tmp_path: Path) -> None:
    trained = train(TrainingSettings.of(QUICK), split, folder=tmp_path)
    loaded = checkpoint.load(tmp_path)
    assert list(loaded.graph.labels) == list(split.triples.labels)
    assert loaded.about["split"]["sha256"] == split.sha256
    h, r = torch.tensor([0, 1]), torch.tensor([0, 0])
    with torch.no_grad():
        assert torch.equal(loaded.scorer.tails(h, r), trained.scorer.tails(h, r))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_every_model_of_the_paper_survives_disk(path: Path, split: Split, tmp_path: Path) -> None:
    written = TrainingSettings.read(path)
    short = replace(written, arguments={**written.arguments, **small_arguments(written.model)}, epochs=1)
    trained = train(short, split, folder=tmp_path)
    loaded = checkpoint.load(tmp_path)
    h, r = torch.tensor([0, 1]), torch.tensor([0, 0])
    with torch.no_grad():
        assert torch.equal(loaded.scorer.tails(h, r), trained.scorer.tails(h, r))


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.json", "entities.tsv", "relations.tsv"])
@pytest.mark.parametrize("damage", ["gone", "cut", "garbage", "empty"])
def test_a_damaged_checkpoint_is_one_clear_error(split: Split, tmp_path: Path, name: str, damage: str) -> None:
    train(TrainingSettings.of({**QUICK, "epochs": 1}), split, folder=tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "garbage": b"\x80\x04garbage", "empty": b""}[damage])
    with pytest.raises(InputError, match=r"missing|damaged|read|hash|checkpoint|columns|row|maps"):
        checkpoint.load(tmp_path)


def test_foreign_id_maps_are_refused(split: Split, tmp_path: Path) -> None:
    train(TrainingSettings.of({**QUICK, "epochs": 1}), split, folder=tmp_path)
    small_graph(seed=9, entities=27).without_triples().write(tmp_path)
    with pytest.raises(InputError, match="id maps are those of another model"):
        checkpoint.load(tmp_path)


def test_another_training_in_the_folder_is_refused(split: Split, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TrainingSettings.of(QUICK), split, folder=tmp_path, progress=interrupt)
    with pytest.raises(InputError, match="a training with another setting"):
        train(TrainingSettings.of({**QUICK, "learning_rate": 0.1}), split, folder=tmp_path)
    with pytest.raises(InputError, match="a training with another seed"):
        train(TrainingSettings.of(QUICK), split, seed=43, folder=tmp_path)


def test_a_finished_training_is_not_done_again(split: Split, tmp_path: Path) -> None:
    settings = TrainingSettings.of(QUICK)
    first = train(settings, split, seed=3, folder=tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()

    def trains(done: int, total: int | None) -> None:
        raise AssertionError("it trains again")

    again = train(settings, split, seed=3, folder=tmp_path, progress=trains)
    assert (again.epochs, again.best_epoch, again.best_mrr) == (first.epochs, first.best_epoch, first.best_mrr)
    assert again.history == first.history
    assert again.seconds == pytest.approx(first.seconds, abs=1)
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    h, r = torch.tensor([0, 1]), torch.tensor([0, 0])
    with torch.no_grad():
        assert torch.equal(again.scorer.tails(h, r), first.scorer.tails(h, r))
    with pytest.raises(InputError, match="holds a training with another seed"):
        train(settings, split, seed=4, folder=tmp_path)
    with pytest.raises(InputError, match="holds a training with another split"):
        train(settings, splits.make("leakage-free", split.triples, 1), seed=3, folder=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weights[:-4])
    with pytest.raises(InputError, match="damaged"):
        train(settings, split, seed=3, folder=tmp_path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "mapping"),
        ({}, "model is missing"),
        ({"model": "transx"}, "no model transx"),
        ({"model": "transe", "lr": 1}, "no setting lr"),
        ({"model": "transe", "epochs": 0}, "epochs must be positive"),
        ({"model": "transe", "epochs": 1.5}, "epochs must be a whole number"),
        ({"model": "transe", "learning_rate": "fast"}, "learning_rate must be a number"),
        ({"model": "transe", "objective": "hope"}, "objective is not one of"),
        ({"model": "transe", "corrupt": ["head", "head"]}, "corrupt must list"),
        ({"model": "transe", "reciprocal": True}, "reciprocal relations are not trained"),
        ({"model": "transe", "arguments": {"dimension": 3}}, "does not take these arguments"),
    ],
)
def test_wrong_settings_are_one_clear_error(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        zoo.build(TrainingSettings.of(document), N, R, seed=0)


def test_settings_survive_json(tmp_path: Path) -> None:
    for path in PAPER:
        settings = TrainingSettings.read(path)
        again = TrainingSettings.of(json.loads(json.dumps(settings.as_dict())))
        assert json.dumps(again.as_dict()) == json.dumps(settings.as_dict())
    damaged = tmp_path / "x.yaml"
    damaged.write_text("model: [transe")
    with pytest.raises(InputError, match=r"x\.yaml, row 1: this is not YAML"):
        TrainingSettings.read(damaged)
