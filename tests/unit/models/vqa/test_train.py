"""Training of VQA methods: they learn, stop, go on after a kill; every loss is in the objective; a model on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("torch_geometric")
from kgp_models.vqa import build, checkpoint
from kgp_models.vqa.base import Method
from kgp_models.vqa.inputs import positive_pairs
from kgp_models.vqa.settings import METHODS, PLAIN, Tuning, VQASettings
from kgp_models.vqa.train import probabilities, scheduled_rate, train_vqa_method
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped
from kgplatform.progress import Progress
from kgplatform.vqa.subgraph import EMPTY
from tests.interrupts import interrupted_at
from tests.progress_records import ProgressRecord
from tests.unit.models.vqa import vqa_world as world

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("single_thread")]  # heavy libraries

TUNING = Tuning(learning_rate=3e-3, epochs=12, patience=12, batch=16)
SETTINGS = VQASettings(hidden=32, width=16, dropout=0.0, graph_dropout=0.0, tuning=TUNING)


class _SimulatedKill(Exception):
    """The machine goes down."""


@pytest.fixture(scope="module")
def vqa_training_inputs(tmp_path_factory: pytest.TempPathFactory) -> build.VQAInputs:
    return world.tiny_vqa_inputs(tmp_path_factory.mktemp("vqa"))


@pytest.fixture(scope="module")
def prepared_inputs(vqa_training_inputs: build.VQAInputs) -> build.QuestionFeatures:
    return build.encode_questions(
        world.tiny_frozen_backbone(), vqa_training_inputs.questions.questions, vqa_training_inputs
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_its_training_questions(
    method: str, vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method=method, tuning=replace(TUNING, epochs=25))  # type: ignore[arg-type]
    question_set = vqa_training_inputs.questions
    learnt_set = replace(
        question_set, parts={**question_set.parts, "valid": question_set.parts["train"]}
    )  # so that the best epoch is of these
    model = build.fit(settings, replace(vqa_training_inputs, questions=learnt_set), prepared_inputs, tmp_path, 1)
    assert model.trained.history[-1]["answer"] < model.trained.history[0]["answer"]
    train_examples = model.training_data.parts["train"]
    assert all(subgraph is EMPTY for subgraph in train_examples.subgraphs) == (method in PLAIN)
    if method not in PLAIN:  # what remedies treat is in the graph, and half of the questions ask about it
        accuracy = ((probabilities(model.method, train_examples) >= 0.5) == (train_examples.yes.numpy() > 0)).mean()
        assert accuracy > max(train_examples.yes.mean(), 1 - train_examples.yes.mean())
    assert len(model.test.probabilities) == len(vqa_training_inputs.questions.parts["test"]) == len(model.questions)


@pytest.mark.parametrize("graph", ["empty", "shuffled", "no-stance"])
def test_the_graphs_controls(
    graph: str, vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures
) -> None:
    settings = replace(SETTINGS, method="krisp", graph=graph)  # type: ignore[arg-type]
    control = build.prepared(settings, vqa_training_inputs, prepared_inputs, 3)
    full_graph = build.prepared(replace(SETTINGS, method="krisp"), vqa_training_inputs, prepared_inputs, 3)
    assert all(len(subgraph) == 0 for subgraph in control.parts["train"].subgraphs) == (graph == "empty")
    if graph == "no-stance":
        kinds = {kind for subgraph in control.parts["train"].subgraphs for kind in subgraph.edges[:, 1].tolist()}
        assert 2 not in kinds
    if graph == "shuffled":
        assert any(
            not (subgraph.edges.shape == full_subgraph.edges.shape and (subgraph.edges == full_subgraph.edges).all())
            for subgraph, full_subgraph in zip(
                control.parts["train"].subgraphs, full_graph.parts["train"].subgraphs, strict=True
            )
        )


def test_a_training_does_not_go_on_with_other_subgraphs(
    vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method="krisp", tuning=replace(TUNING, epochs=1))
    build.fit(settings, vqa_training_inputs, prepared_inputs, tmp_path / "work", 1)
    names_path = tmp_path / "names.csv"
    words = sorted(
        {word for example in vqa_training_inputs.questions.questions for word in example.text.split() if word.isalpha()}
    )
    names_path.write_text("cui,name\n" + "".join(f"C0000000,{word}\n" for word in words))
    with pytest.raises(InputError, match="an unfinished training with other settings or data"):
        build.fit(settings, replace(vqa_training_inputs, lexicon=(names_path,)), prepared_inputs, tmp_path / "work", 1)


def test_a_killed_training_goes_on_as_if_nothing_had_been(
    vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method="ekgrl", tuning=replace(TUNING, epochs=3))  # it draws its walks by chance
    uninterrupted = build.fit(settings, vqa_training_inputs, prepared_inputs, tmp_path / "whole", 5)

    def progress(_: str) -> Progress:
        def report(step_count: int, total: int | None, **_: object) -> None:
            if step_count == 7:  # in the third epoch, of three steps each
                raise _SimulatedKill

        return report

    with pytest.raises(_SimulatedKill):
        build.fit(settings, replace(vqa_training_inputs, progress=progress), prepared_inputs, tmp_path / "killed", 5)
    resumed = build.fit(settings, vqa_training_inputs, prepared_inputs, tmp_path / "killed", 5)
    for expected_weight, resumed_weight in zip(
        uninterrupted.method.parameters(), resumed.method.parameters(), strict=True
    ):
        torch.testing.assert_close(expected_weight, resumed_weight)
    assert [epoch_record["answer"] for epoch_record in resumed.trained.history] == [
        epoch_record["answer"] for epoch_record in uninterrupted.trained.history
    ]


def test_progress_has_the_loss(
    vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures, tmp_path: Path
) -> None:
    records = {subject: ProgressRecord() for subject in ("graph", "krisp, steps")}
    settings = replace(SETTINGS, method="krisp", tuning=replace(TUNING, epochs=2))
    inputs = replace(vqa_training_inputs, progress=lambda subject: records[subject])
    build.fit(settings, inputs, prepared_inputs, tmp_path, 5)
    assert records["krisp, steps"].done == [1, 2, 3, 4, 5, 6]
    assert records["krisp, steps"].has_losses()
    assert not records["graph"].has_losses(), "images are read there"


def test_an_interrupted_training_loses_no_step(
    vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method="ekgrl", tuning=replace(TUNING, epochs=2))
    uninterrupted = build.fit(settings, vqa_training_inputs, prepared_inputs, tmp_path / "whole", 5)
    stopped_inputs = replace(
        vqa_training_inputs,
        progress=lambda stage_name: interrupted_at(5) if stage_name.startswith("ekgrl") else interrupted_at(0),
    )
    with pytest.raises(Stopped, match="stopped after step 5 of 6, saved in"):
        build.fit(settings, stopped_inputs, prepared_inputs, tmp_path / "cut", 5)
    resumed = build.fit(settings, vqa_training_inputs, prepared_inputs, tmp_path / "cut", 5)
    for expected_weight, resumed_weight in zip(
        uninterrupted.method.parameters(), resumed.method.parameters(), strict=True
    ):
        assert torch.equal(expected_weight, resumed_weight)
    assert resumed.trained.history == uninterrupted.trained.history


def test_it_stops_when_the_validation_is_no_better_and_goes_back_to_the_best(
    vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, tuning=replace(TUNING, learning_rate=0.05, epochs=40, patience=2))
    model = build.fit(settings, vqa_training_inputs, prepared_inputs, tmp_path, 1)
    losses = [epoch_record["valid loss"] for epoch_record in model.trained.history]
    assert model.trained.epochs < 40
    assert model.trained.best_epoch == losses.index(min(losses)) + 1 == model.trained.epochs - 2
    predicted = torch.from_numpy(probabilities(model.method, model.training_data.parts["valid"])).clamp(1e-7, 1 - 1e-7)
    expected = model.training_data.parts["valid"].yes.double()
    assert float(nn.functional.binary_cross_entropy(predicted, expected)) == pytest.approx(min(losses), abs=1e-6)


class TestRate:
    """The learning rate."""

    def test_on_a_plateau_it_falls_as_torchs_does(self) -> None:
        losses = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.95, 0.8, *[0.81] * 12, 0.7, *[0.7] * 9]
        weight = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=2e-5)
        torch_scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.8, patience=4, min_lr=1e-6)
        settings = Tuning(learning_rate=2e-5, schedule="plateau")
        history: list[dict[str, float]] = []
        for loss in losses:
            assert scheduled_rate(settings, history, 0, 1) == pytest.approx(optimizer.param_groups[0]["lr"])
            history.append({"valid loss": loss})
            torch_scheduler.step(loss)
        assert scheduled_rate(settings, history, 0, 1) < 2e-5 * 0.6

    def test_a_cosine_falls_to_nothing_and_a_constant_stays(self) -> None:
        cosine_tuning = Tuning(learning_rate=1.0, schedule="cosine")
        assert [scheduled_rate(cosine_tuning, [], step, 4) for step in (0, 2, 4)] == pytest.approx([1.0, 0.5, 0.0])
        assert scheduled_rate(Tuning(learning_rate=0.3), [], 3, 4) == 0.3


@pytest.mark.parametrize(
    ("method", "losses"),
    [
        ("base", {"answer"}),
        ("krisp", {"answer", "implicit", "symbolic"}),
        ("mkbn", {"answer"}),
        ("k-pathvqa", {"answer"}),
        ("ekgrl", {"answer", "walks", "reward", "entropy"}),
        ("mr-mkg", {"answer", "alignment"}),
    ],
)
def test_every_loss_is_in_the_objective(
    method: str,
    losses: set[str],
    vqa_training_inputs: build.VQAInputs,
    prepared_inputs: build.QuestionFeatures,
    tmp_path: Path,
) -> None:
    settings = replace(SETTINGS, method=method, tuning=replace(TUNING, epochs=1, batch=1000))  # type: ignore[arg-type]
    training_data = build.prepared(settings, vqa_training_inputs, prepared_inputs, 1)

    def trained(left_out: str) -> list[torch.Tensor]:
        torch.manual_seed(1)
        sizes = build.model_sizes(settings, prepared_inputs.images, prepared_inputs.texts)
        model = build.build_method(settings, sizes, training_data.graph.kinds, positive_pairs(training_data.knowledge))
        all_losses = model.losses

        def some(batch: object) -> dict[str, torch.Tensor]:
            loss_values = all_losses(batch)  # type: ignore[arg-type]
            assert set(loss_values) == losses
            return {loss_name: loss_value * (loss_name != left_out) for loss_name, loss_value in loss_values.items()}

        model.losses = some  # type: ignore[method-assign]
        train_vqa_method(
            model, training_data.parts["train"], training_data.parts["valid"], settings.tuning, tmp_path / left_out, 1
        )
        return [weight.detach().clone() for weight in model.parameters()]

    all_weights = trained("nothing")
    for loss_name in losses:
        reduced_weights = trained(loss_name)
        assert any(
            not torch.allclose(full_weight, reduced_weight)
            for full_weight, reduced_weight in zip(all_weights, reduced_weights, strict=True)
        ), loss_name


def test_what_the_method_knows_nothing_of_the_base_model_answers(
    vqa_training_inputs: build.VQAInputs, prepared_inputs: build.QuestionFeatures, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method="krisp", tuning=replace(TUNING, epochs=1))
    base_model, model = (
        build.fit(
            replace(settings, method=method_name), vqa_training_inputs, prepared_inputs, tmp_path / method_name, 1
        )
        for method_name in ("base", "krisp")
    )
    subgraphs = model.training_data.parts["test"].subgraphs
    subgraphs[0] = EMPTY
    joint_answers = model.with_base(base_model).probabilities
    assert joint_answers[0] == base_model.test.probabilities[0]
    assert (joint_answers[1:] == model.test.probabilities[1:]).all()
    assert all(len(subgraph) > 0 for subgraph in subgraphs[1:])


class TestOnDisk:
    """A trained model in a folder."""

    @pytest.fixture
    def folder(
        self,
        vqa_training_inputs: build.VQAInputs,
        prepared_inputs: build.QuestionFeatures,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Path:
        monkeypatch.setattr(checkpoint, "open_frozen_backbone", lambda _: world.tiny_frozen_backbone())
        settings = replace(SETTINGS, method="krisp", backbone="small", tuning=replace(TUNING, epochs=1))
        base_model = build.fit(
            replace(settings, method="base"), vqa_training_inputs, prepared_inputs, tmp_path / "base", 1
        )
        self.model = build.fit(settings, vqa_training_inputs, prepared_inputs, tmp_path / "method", 1)
        figures = {"test accuracy": 0.5}
        model_folder = tmp_path / "model"
        checkpoint.save_vqa_model(
            model_folder,
            self.model,
            base_model,
            settings,
            inputs=vqa_training_inputs,
            towers=prepared_inputs.backbone,
            backbone="small",
            data={"questions": "tiny"},
            figures=figures,
        )
        return model_folder

    def same(self, first: Method, second: Method) -> bool:
        weight_pairs = zip(first.parameters(), second.parameters(), strict=True)
        return all(
            torch.allclose(first_weight, second_weight, atol=1e-3) for first_weight, second_weight in weight_pairs
        )

    def test_it_is_read_as_it_was(self, folder: Path) -> None:
        loaded = checkpoint.load_vqa_model(folder)
        assert self.same(loaded.method, self.model.method)
        evidence, has_evidence = (
            self.model.training_data.graph.evidence,
            self.model.training_data.graph.evidence.informative,
        )
        assert loaded.cuis == [world.CUIS[concept_index] for concept_index in has_evidence.nonzero().flatten().tolist()]
        image_vectors = self.model.training_data.parts["test"].images.vectors
        torch.testing.assert_close(loaded.evidence(image_vectors), evidence(image_vectors)[:, has_evidence])
        assert "Not for clinical use" in (folder / "README.md").read_text()

    def test_another_backbone_is_refused(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One of other widths does not fit, and one of the same widths would answer wrongly without a word."""
        changed_backbone = world.tiny_frozen_backbone()
        with torch.no_grad():
            next(changed_backbone.text_tower.parameters()).add_(1.0)
        monkeypatch.setattr(checkpoint, "open_frozen_backbone", lambda _: changed_backbone)
        with pytest.raises(InputError, match="not the one that the model was trained with"):
            checkpoint.load_vqa_model(folder, "clip:ELSEWHERE")

    def test_how_concepts_were_found_is_kept(self, folder: Path) -> None:
        loaded = checkpoint.load_vqa_model(folder)
        assert (loaded.own_words, loaded.lexicon) == (False, False)

    @pytest.mark.parametrize("name", ["weights.safetensors", "vqa.json"])
    def test_a_file_that_is_damaged_or_not_there(self, folder: Path, name: str) -> None:
        file_path = folder / name
        file_path.write_bytes(file_path.read_bytes()[:-9])
        with pytest.raises(InputError):
            checkpoint.load_vqa_model(folder)
        file_path.unlink()
        with pytest.raises(InputError):
            checkpoint.load_vqa_model(folder)

    def test_another_version_and_a_description_of_another_kind(self, folder: Path) -> None:
        description = json.loads((folder / "vqa.json").read_text())
        changes: list[dict[str, Any]] = [
            {"form": 99},
            {"sizes": []},
            {"sizes": {**description["sizes"], "hidden": 64}},
            {"relations": ["x"]},
            {"relations": [1, 2]},
            {"concepts": [None]},
            {"files": {}},  # without hashes
            {"settings": {**description["settings"], "cap": -1}},
        ]
        for change in changes:
            (folder / "vqa.json").write_text(json.dumps({**description, **change}))
            if change == {"relations": ["x"]}:  # KRISP has weights of each relation
                with pytest.raises(InputError, match="do not fit"):
                    checkpoint.load_vqa_model(folder)
            else:
                with pytest.raises(InputError, match=str(folder)):
                    checkpoint.load_vqa_model(folder)
