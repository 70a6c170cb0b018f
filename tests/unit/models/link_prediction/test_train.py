"""Settings, training and checkpoints: what is learnt, interrupted, resumed, kept and refused."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgplatform import plugins
from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped
from tests.progress_records import ProgressRecord
from tests.unit.models.link_prediction.link_graphs import PAPER, QUICK, N, R, small_arguments, small_graph

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from kgp_models.link_prediction import checkpoint, zoo  # noqa: E402
from kgp_models.link_prediction.evaluate import TrueTriples, evaluate  # noqa: E402
from kgp_models.link_prediction.objectives import objective  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import optimizer, optimizer_step, train_link_model  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_every_model_of_the_paper_learns_a_small_graph(path: Path) -> None:
    paper_settings = TrainingSettings.read(path)
    assert (paper_settings.optimizer, paper_settings.batch_size, paper_settings.learning_rate) == ("adamw", 2048, 1e-3)
    assert (paper_settings.epochs, paper_settings.patience) == (500, 5)
    assert {len(paper_row) for paper_row in paper_settings.paper.values()} == {4}
    settings = replace(
        paper_settings,
        arguments={**paper_settings.arguments, **small_arguments(paper_settings.model)},
        learning_rate=0.02,
    )
    triples = small_graph()
    model, scorer = zoo.build_link_model(settings, N, R, seed=0)
    torch.manual_seed(0)
    optimiser = optimizer(settings, model)
    loss = objective(settings, triples.ids, N, R)
    model.train()
    losses = [
        np.mean([float(optimizer_step(model, scorer, optimiser, loss, batch)) for batch in loss.batches()])
        for _ in range(60)
    ]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:2])
    model.eval()
    true_triples = TrueTriples(triples.ids, N, R)
    assert evaluate(scorer, triples.ids, true_triples).metrics()["tail"].mr < 0.8 * (N + 1) / 2


def test_the_paper_has_17_models() -> None:
    assert len(PAPER) == 17
    assert {TrainingSettings.read(settings_path).model for settings_path in PAPER} == set(
        plugins.registered_names("models")
    ) - {"complex-n3"}


@pytest.fixture
def training_split() -> Split:
    return splits.make("paper", small_graph(), 1)


def test_an_interrupted_training_ends_as_if_it_had_not_been(training_split: Split, tmp_path: Path) -> None:
    settings = TrainingSettings.from_document(QUICK)
    full_run = train_link_model(settings, training_split, seed=3, folder=tmp_path / "whole")

    def interrupt(done: int, total: int | None, **_: object) -> None:
        if done == 5:  # an epoch after a check
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_link_model(settings, training_split, seed=3, folder=tmp_path / "cut", progress=interrupt)
    assert (tmp_path / "cut" / "work" / "training.state").is_file()
    epochs: list[int] = []
    resumed_run = train_link_model(
        settings, training_split, seed=3, folder=tmp_path / "cut", progress=lambda done, total, **_: epochs.append(done)
    )
    assert epochs == [5, 6]
    assert [history_row["mrr"] for history_row in resumed_run.history] == [
        history_row["mrr"] for history_row in full_run.history
    ]
    for tensor_name, tensor in full_run.model.state_dict().items():
        assert torch.equal(tensor, resumed_run.model.state_dict()[tensor_name]), tensor_name
    assert not (tmp_path / "cut" / "work").exists(), "a finished training leaves no state"


@pytest.mark.parametrize("objective", ["softplus", "cross-entropy"])
def test_a_training_stopped_within_an_epoch_ends_as_if_it_had_not_been(
    objective: str, training_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings.from_document({**QUICK, "objective": objective, "batch_size": 16, "epochs": 3})
    full_run = train_link_model(settings, training_split, seed=3, folder=tmp_path / "whole")
    step_count = 0

    def stepped(*arguments: Any) -> Tensor:
        nonlocal step_count
        step_count += 1
        if step_count == 3:
            signal.raise_signal(signal.SIGINT)
        return optimizer_step(*arguments)

    monkeypatch.setattr("kgp_models.link_prediction.train.optimizer_step", stepped)
    with pytest.raises(Stopped, match=r"stopped after step 3 of 18, saved in .*cut"):
        train_link_model(settings, training_split, seed=3, folder=tmp_path / "cut")
    resumed_run = train_link_model(settings, training_split, seed=3, folder=tmp_path / "cut")
    assert [history_row | {"loss": None} for history_row in resumed_run.history] == [
        history_row | {"loss": None} for history_row in full_run.history
    ]
    assert [history_row["loss"] for history_row in resumed_run.history] == [
        history_row["loss"] for history_row in full_run.history
    ]
    for tensor_name, tensor in full_run.model.state_dict().items():
        assert torch.equal(tensor, resumed_run.model.state_dict()[tensor_name]), tensor_name


def test_training_stops_when_the_validation_rank_no_longer_rises(training_split: Split) -> None:
    settings = TrainingSettings.from_document({**QUICK, "epochs": 400, "patience": 2, "learning_rate": 0.05})
    trained_run = train_link_model(settings, training_split, seed=0)
    assert trained_run.epochs == trained_run.best_epoch + 2 * 2 < 400
    best_check = max(trained_run.history, key=lambda check: check["mrr"])
    assert (best_check["epoch"], best_check["mrr"]) == (trained_run.best_epoch, trained_run.best_mrr)
    true_triples = TrueTriples(training_split.triples.ids, N, R)
    metrics_by_task = evaluate(trained_run.scorer, training_split.valid, true_triples).metrics()
    assert np.mean([metrics.mrr for metrics in metrics_by_task.values()]) == pytest.approx(trained_run.best_mrr)


def test_a_checkpoint_gives_the_model_back_with_its_names(training_split: Split, tmp_path: Path) -> None:
    trained_run = train_link_model(TrainingSettings.from_document(QUICK), training_split, folder=tmp_path)
    loaded_model = checkpoint.load_link_checkpoint(tmp_path)
    assert list(loaded_model.graph.labels) == list(training_split.triples.labels)
    assert loaded_model.about["split"]["sha256"] == training_split.sha256
    head_ids, relation_ids = torch.tensor([0, 1]), torch.tensor([0, 0])
    with torch.no_grad():
        assert torch.equal(
            loaded_model.scorer.tails(head_ids, relation_ids), trained_run.scorer.tails(head_ids, relation_ids)
        )
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_every_model_of_the_paper_survives_disk(path: Path, training_split: Split, tmp_path: Path) -> None:
    paper_settings = TrainingSettings.read(path)
    short_settings = replace(
        paper_settings, arguments={**paper_settings.arguments, **small_arguments(paper_settings.model)}, epochs=1
    )
    trained_run = train_link_model(short_settings, training_split, folder=tmp_path)
    loaded_model = checkpoint.load_link_checkpoint(tmp_path)
    head_ids, relation_ids = torch.tensor([0, 1]), torch.tensor([0, 0])
    with torch.no_grad():
        assert torch.equal(
            loaded_model.scorer.tails(head_ids, relation_ids), trained_run.scorer.tails(head_ids, relation_ids)
        )


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.json", "entities.tsv", "relations.tsv"])
@pytest.mark.parametrize("damage", ["gone", "cut", "garbage", "empty"])
def test_a_damaged_checkpoint_is_one_clear_error(training_split: Split, tmp_path: Path, name: str, damage: str) -> None:
    train_link_model(TrainingSettings.from_document({**QUICK, "epochs": 1}), training_split, folder=tmp_path)
    file_path = tmp_path / name
    content = file_path.read_bytes()
    if damage == "gone":
        file_path.unlink()
    else:
        file_path.write_bytes(
            {"cut": content[: len(content) // 2], "garbage": b"\x80\x04garbage", "empty": b""}[damage]
        )
    with pytest.raises(InputError, match=r"missing|damaged|read|hash|checkpoint|columns|row|maps"):
        checkpoint.load_link_checkpoint(tmp_path)


def test_progress_has_the_loss_of_each_epoch(training_split: Split) -> None:
    record = ProgressRecord()
    trained = train_link_model(TrainingSettings.from_document(QUICK), training_split, seed=3, progress=record)
    assert record.done == list(range(1, trained.epochs + 1))
    assert record.has_losses()
    for history_row in trained.history:
        assert record.losses[int(history_row["epoch"]) - 1] == history_row["loss"]


def test_foreign_id_maps_are_refused(training_split: Split, tmp_path: Path) -> None:
    train_link_model(TrainingSettings.from_document({**QUICK, "epochs": 1}), training_split, folder=tmp_path)
    small_graph(seed=9, entities=27).without_triples().write(tmp_path)
    with pytest.raises(InputError, match="id maps belong to another model"):
        checkpoint.load_link_checkpoint(tmp_path)


def test_another_training_in_the_folder_is_refused(training_split: Split, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None, **_: object) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_link_model(TrainingSettings.from_document(QUICK), training_split, folder=tmp_path, progress=interrupt)
    with pytest.raises(InputError, match=r"an unfinished training with other .* is here \(other settings\)"):
        train_link_model(
            TrainingSettings.from_document({**QUICK, "learning_rate": 0.1}), training_split, folder=tmp_path
        )
    with pytest.raises(InputError, match=r"\(other seed\)"):
        train_link_model(TrainingSettings.from_document(QUICK), training_split, seed=43, folder=tmp_path)


def test_an_unfinished_training_of_an_earlier_version_is_named(training_split: Split, tmp_path: Path) -> None:
    (tmp_path / "training.safetensors").write_bytes(b"weights")
    with pytest.raises(InputError, match=r"training\.safetensors: this is .* of an earlier version"):
        train_link_model(TrainingSettings.from_document(QUICK), training_split, folder=tmp_path)
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["training.safetensors"]


def test_a_model_of_an_earlier_version_is_read(training_split: Split, tmp_path: Path) -> None:
    train_link_model(TrainingSettings.from_document(QUICK), training_split, folder=tmp_path)
    description_path = tmp_path / checkpoint.ABOUT
    description = json.loads(description_path.read_text(encoding="utf-8"))
    del description["form"], description["files"]
    description_path.write_text(json.dumps(description), encoding="utf-8")
    assert checkpoint.load_link_checkpoint(tmp_path).sha256 == description["weights"]
    with (tmp_path / checkpoint.WEIGHTS).open("ab") as weights_file:
        weights_file.write(b"\0")
    with pytest.raises(InputError, match="missing or changed"):
        checkpoint.load_link_checkpoint(tmp_path)


def test_a_finished_training_is_not_done_again(training_split: Split, tmp_path: Path) -> None:
    settings = TrainingSettings.from_document(QUICK)
    first_run = train_link_model(settings, training_split, seed=3, folder=tmp_path)
    weight_bytes = (tmp_path / "model.safetensors").read_bytes()

    def trains(done: int, total: int | None, **_: object) -> None:
        raise AssertionError("it trains again")

    second_run = train_link_model(settings, training_split, seed=3, folder=tmp_path, progress=trains)
    assert (second_run.epochs, second_run.best_epoch, second_run.best_mrr) == (
        first_run.epochs,
        first_run.best_epoch,
        first_run.best_mrr,
    )
    assert second_run.history == first_run.history
    assert second_run.seconds == pytest.approx(first_run.seconds, abs=1)
    assert (tmp_path / "model.safetensors").read_bytes() == weight_bytes
    head_ids, relation_ids = torch.tensor([0, 1]), torch.tensor([0, 0])
    with torch.no_grad():
        assert torch.equal(
            second_run.scorer.tails(head_ids, relation_ids), first_run.scorer.tails(head_ids, relation_ids)
        )
    with pytest.raises(InputError, match="holds a training with another seed"):
        train_link_model(settings, training_split, seed=4, folder=tmp_path)
    with pytest.raises(InputError, match="holds a training with another split"):
        train_link_model(settings, splits.make("leakage-free", training_split.triples, 1), seed=3, folder=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weight_bytes[:-4])
    with pytest.raises(InputError, match="missing or changed"):
        train_link_model(settings, training_split, seed=3, folder=tmp_path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "mapping"),
        ({}, "model is missing"),
        ({"model": "transx"}, "no model transx"),
        ({"model": "transe", "lr": 1}, "no setting lr"),
        ({"model": "transe", "epochs": 0}, "epochs must be more than 0"),
        ({"model": "transe", "epochs": 1.5}, "epochs must be a whole number"),
        ({"model": "transe", "learning_rate": "fast"}, "learning_rate must be a number"),
        ({"model": "transe", "objective": "hope"}, "objective is not one of"),
        ({"model": "transe", "epochs": True}, "epochs must be a whole number"),
        ({"model": "transe", "margin": float("nan")}, "margin must be a finite number"),
        ({"model": "transe", "n3": -0.1}, "n3 must be at least 0"),
        ({"model": "transe", "corrupt": ["head", "head"]}, "corrupt must list"),
        ({"model": "transe", "corrupt": []}, "corrupt must list"),
        ({"model": "transe", "corrupt": "head"}, "corrupt must be a list"),
        ({"model": "transe", "corrupt": ["hat"]}, r"corrupt\[0\] is not one of head, relation, tail"),
        ({"model": "transe", "paper": {"head": [1.0, 2.0]}}, r"paper\.head must have at least 4 entries"),
        ({"model": "transe", "arguments": {1: 2}}, "the names in arguments must be text"),
        ({"model": "transe", "reciprocal": True}, "reciprocal relations are not trained"),
        ({"model": "transe", "arguments": {"dimension": 3}}, "does not take these arguments"),
    ],
)
def test_wrong_link_prediction_settings_are_a_clear_error(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        zoo.build_link_model(TrainingSettings.from_document(document), N, R, seed=0)


def test_settings_survive_json(tmp_path: Path) -> None:
    for settings_path in PAPER:
        settings = TrainingSettings.read(settings_path)
        reread_settings = TrainingSettings.from_document(json.loads(json.dumps(settings.as_dict())))
        assert json.dumps(reread_settings.as_dict()) == json.dumps(settings.as_dict())
    damaged_path = tmp_path / "x.yaml"
    damaged_path.write_text("model: [transe")
    with pytest.raises(InputError, match=r"x\.yaml, row 1: this is not YAML"):
        TrainingSettings.read(damaged_path)
