"""Training of VQA methods: they learn, stop, go on after a kill; every loss is in the objective; a model on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("torch_geometric")
from kgp_models.vqa import build, checkpoint
from kgp_models.vqa.base import Method
from kgp_models.vqa.settings import METHODS, PLAIN, Tuning, VQASettings
from kgp_models.vqa.train import probabilities, rate, train
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped
from kgplatform.vqa.subgraph import EMPTY
from tests.interrupts import interrupted_at
from tests.unit import vqa_world as world

pytestmark = pytest.mark.slow  # heavy libraries

TUNING = Tuning(learning_rate=3e-3, epochs=12, patience=12, batch=16)
SETTINGS = VQASettings(hidden=32, width=16, dropout=0.0, graph_dropout=0.0, tuning=TUNING)


class Killed(Exception):
    """The machine goes down."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last digits from run to run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> build.Inputs:
    return world.inputs(tmp_path_factory.mktemp("vqa"))


@pytest.fixture(scope="module")
def known(inputs: build.Inputs) -> build.Seen:
    return build.seen(world.backbone(), inputs.questions.questions, inputs)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_its_training_questions(
    method: str, inputs: build.Inputs, known: build.Seen, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method=method, tuning=replace(TUNING, epochs=25))  # type: ignore[arg-type]
    dealt = inputs.questions
    learnt = replace(dealt, parts={**dealt.parts, "valid": dealt.parts["train"]})  # so that the best epoch is of these
    model = build.fit(settings, replace(inputs, questions=learnt), known, tmp_path, 1)
    assert model.trained.history[-1]["answer"] < model.trained.history[0]["answer"]
    given = model.given.parts["train"]
    assert all(subgraph is EMPTY for subgraph in given.subgraphs) == (method in PLAIN)
    if method not in PLAIN:  # what remedies treat is in the graph, and half of the questions ask about it
        right = ((probabilities(model.method, given) >= 0.5) == (given.yes.numpy() > 0)).mean()
        assert right > max(given.yes.mean(), 1 - given.yes.mean())
    assert len(model.test.said) == len(inputs.questions.parts["test"]) == len(model.questions)


@pytest.mark.parametrize("graph", ["empty", "shuffled", "no-stance"])
def test_the_graphs_controls(graph: str, inputs: build.Inputs, known: build.Seen) -> None:
    settings = replace(SETTINGS, method="krisp", graph=graph)  # type: ignore[arg-type]
    given = build.prepared(settings, inputs, known, 3)
    full = build.prepared(replace(SETTINGS, method="krisp"), inputs, known, 3)
    assert all(len(one) == 0 for one in given.parts["train"].subgraphs) == (graph == "empty")
    if graph == "no-stance":
        kinds = {kind for one in given.parts["train"].subgraphs for kind in one.edges[:, 1].tolist()}
        assert 2 not in kinds
    if graph == "shuffled":
        assert any(
            not (one.edges.shape == other.edges.shape and (one.edges == other.edges).all())
            for one, other in zip(given.parts["train"].subgraphs, full.parts["train"].subgraphs, strict=True)
        )


def test_a_training_does_not_go_on_with_other_subgraphs(
    inputs: build.Inputs, known: build.Seen, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method="krisp", tuning=replace(TUNING, epochs=1))
    build.fit(settings, inputs, known, tmp_path / "work", 1)
    names = tmp_path / "names.csv"
    words = sorted({word for one in inputs.questions.questions for word in one.text.split() if word.isalpha()})
    names.write_text("cui,name\n" + "".join(f"C0000000,{word}\n" for word in words))
    with pytest.raises(InputError, match="an unfinished training of other settings or data"):
        build.fit(settings, replace(inputs, lexicon=(names,)), known, tmp_path / "work", 1)


def test_a_killed_training_goes_on_as_if_nothing_had_been(
    inputs: build.Inputs, known: build.Seen, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method="ekgrl", tuning=replace(TUNING, epochs=3))  # it draws its walks by chance
    whole = build.fit(settings, inputs, known, tmp_path / "whole", 5)

    def progress(_: str) -> Callable[[int, int | None], None]:
        def report(done: int, total: int | None) -> None:
            if done == 7:  # in the third epoch, of three steps each
                raise Killed

        return report

    with pytest.raises(Killed):
        build.fit(settings, replace(inputs, progress=progress), known, tmp_path / "killed", 5)
    again = build.fit(settings, inputs, known, tmp_path / "killed", 5)
    for one, other in zip(whole.method.parameters(), again.method.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert [row["answer"] for row in again.trained.history] == [row["answer"] for row in whole.trained.history]


def test_an_interrupted_training_loses_no_step(inputs: build.Inputs, known: build.Seen, tmp_path: Path) -> None:
    settings = replace(SETTINGS, method="ekgrl", tuning=replace(TUNING, epochs=2))
    whole = build.fit(settings, inputs, known, tmp_path / "whole", 5)
    stopped = replace(
        inputs, progress=lambda what: interrupted_at(5) if what.startswith("ekgrl") else interrupted_at(0)
    )
    with pytest.raises(Stopped, match="stopped after step 5 of 6, saved in"):
        build.fit(settings, stopped, known, tmp_path / "cut", 5)
    again = build.fit(settings, inputs, known, tmp_path / "cut", 5)
    for one, other in zip(whole.method.parameters(), again.method.parameters(), strict=True):
        assert torch.equal(one, other)
    assert again.trained.history == whole.trained.history


def test_it_stops_when_the_validation_is_no_better_and_goes_back_to_the_best(
    inputs: build.Inputs, known: build.Seen, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, tuning=replace(TUNING, learning_rate=0.05, epochs=40, patience=2))
    model = build.fit(settings, inputs, known, tmp_path, 1)
    losses = [row["valid loss"] for row in model.trained.history]
    assert model.trained.epochs < 40
    assert model.trained.best_epoch == losses.index(min(losses)) + 1 == model.trained.epochs - 2
    found = torch.from_numpy(probabilities(model.method, model.given.parts["valid"])).clamp(1e-7, 1 - 1e-7)
    right = model.given.parts["valid"].yes.double()
    assert float(nn.functional.binary_cross_entropy(found, right)) == pytest.approx(min(losses), abs=1e-6)


class TestRate:
    """The learning rate."""

    def test_on_a_plateau_it_falls_as_torchs_does(self) -> None:
        losses = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.95, 0.8, *[0.81] * 12, 0.7, *[0.7] * 9]
        weight = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=2e-5)
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.8, patience=4, min_lr=1e-6)
        settings, history = Tuning(learning_rate=2e-5, schedule="plateau"), []
        for loss in losses:
            assert rate(settings, history, 0, 1) == pytest.approx(optimizer.param_groups[0]["lr"])
            history.append({"valid loss": loss})
            theirs.step(loss)
        assert rate(settings, history, 0, 1) < 2e-5 * 0.6

    def test_a_cosine_falls_to_nothing_and_a_constant_stays(self) -> None:
        falls = Tuning(learning_rate=1.0, schedule="cosine")
        assert [rate(falls, [], step, 4) for step in (0, 2, 4)] == pytest.approx([1.0, 0.5, 0.0])
        assert rate(Tuning(learning_rate=0.3), [], 3, 4) == 0.3


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
    method: str, losses: set[str], inputs: build.Inputs, known: build.Seen, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method=method, tuning=replace(TUNING, epochs=1, batch=1000))  # type: ignore[arg-type]
    given = build.prepared(settings, inputs, known, 1)

    def trained(without: str) -> list[torch.Tensor]:
        torch.manual_seed(1)
        sizes = build.sizes_of(settings, known.images, known.texts)
        model = build.method_of(settings, sizes, given.graph.kinds, build.positives_of(given.knowledge))
        every = model.losses

        def some(batch: object) -> dict[str, torch.Tensor]:
            found = every(batch)  # type: ignore[arg-type]
            assert set(found) == losses
            return {name: value * (name != without) for name, value in found.items()}

        model.losses = some  # type: ignore[method-assign, assignment]
        train(model, given.parts["train"], given.parts["valid"], settings.tuning, tmp_path / without, 1)
        return [weight.detach().clone() for weight in model.parameters()]

    whole = trained("nothing")
    for name in losses:
        less = trained(name)
        assert any(not torch.allclose(a, b) for a, b in zip(whole, less, strict=True)), name


def test_what_the_method_knows_nothing_of_the_base_model_answers(
    inputs: build.Inputs, known: build.Seen, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, method="krisp", tuning=replace(TUNING, epochs=1))
    base, model = (
        build.fit(replace(settings, method=name), inputs, known, tmp_path / name, 1) for name in ("base", "krisp")
    )
    subgraphs = model.given.parts["test"].subgraphs
    subgraphs[0] = EMPTY
    both = model.with_base(base).said
    assert both[0] == base.test.said[0]
    assert (both[1:] == model.test.said[1:]).all()
    assert all(len(one) > 0 for one in subgraphs[1:])


class TestOnDisk:
    """A trained model in a folder."""

    @pytest.fixture
    def folder(self, inputs: build.Inputs, known: build.Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(checkpoint, "opened", lambda _: world.backbone())
        settings = replace(SETTINGS, method="krisp", backbone="small", tuning=replace(TUNING, epochs=1))
        base = build.fit(replace(settings, method="base"), inputs, known, tmp_path / "base", 1)
        self.model = build.fit(settings, inputs, known, tmp_path / "method", 1)
        figures = {"test accuracy": 0.5}
        out = tmp_path / "model"
        given = {"inputs": inputs, "towers": known.backbone, "backbone": "small"}
        checkpoint.save(out, self.model, base, settings, **given, data={"questions": "tiny"}, figures=figures)
        return out

    def same(self, one: Method, other: Method) -> bool:
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        return all(torch.allclose(a, b, atol=1e-3) for a, b in pairs)

    def test_it_is_read_as_it_was(self, folder: Path) -> None:
        loaded = checkpoint.load(folder)
        assert self.same(loaded.method, self.model.method)
        evidence, told = self.model.given.graph.evidence, self.model.given.graph.evidence.told
        assert loaded.cuis == [world.CUIS[place] for place in told.nonzero().flatten().tolist()]
        images = self.model.given.parts["test"].images.vectors
        torch.testing.assert_close(loaded.evidence(images), evidence(images)[:, told])
        assert "Not for clinical use" in (folder / "README.md").read_text()

    def test_another_backbone_is_refused(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One of other widths does not fit, and one of the same widths would answer wrongly without a word."""
        other = world.backbone()
        with torch.no_grad():
            next(other.text_tower.parameters()).add_(1.0)
        monkeypatch.setattr(checkpoint, "opened", lambda _: other)
        with pytest.raises(InputError, match="not the one that the model was trained with"):
            checkpoint.load(folder, "clip:ELSEWHERE")

    def test_how_concepts_were_found_is_kept(self, folder: Path) -> None:
        loaded = checkpoint.load(folder)
        assert (loaded.own_words, loaded.lexicon) == (False, False)

    @pytest.mark.parametrize("name", ["weights.safetensors", "vqa.json"])
    def test_a_file_that_is_damaged_or_not_there(self, folder: Path, name: str) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(InputError):
            checkpoint.load(folder)
        path.unlink()
        with pytest.raises(InputError):
            checkpoint.load(folder)

    def test_another_version_and_a_description_of_another_kind(self, folder: Path) -> None:
        about = json.loads((folder / "vqa.json").read_text())
        changes: list[dict[str, Any]] = [
            {"form": 99},
            {"sizes": []},
            {"sizes": {**about["sizes"], "hidden": 64}},
            {"relations": ["x"]},
            {"relations": [1, 2]},
            {"concepts": [None]},
            {"files": {}},  # without hashes
            {"settings": {**about["settings"], "cap": -1}},
        ]
        for change in changes:
            (folder / "vqa.json").write_text(json.dumps({**about, **change}))
            if change == {"relations": ["x"]}:  # KRISP has weights of each relation
                with pytest.raises(InputError, match="do not fit"):
                    checkpoint.load(folder)
            else:
                with pytest.raises(InputError, match=str(folder)):
                    checkpoint.load(folder)
