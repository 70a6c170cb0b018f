"""Scores, ranks, losses and training of link prediction, each against a few plain lines that compute it again."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.export import splits
from kgplatform.export.splits import Split
from kgplatform.export.triples import Node, Triples

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import checkpoint, zoo  # noqa: E402
from kgp_models.link_prediction.baselines import BASELINES, Frequency, InverseRule, Neighbours  # noqa: E402
from kgp_models.link_prediction.evaluate import TASKS, Known, Metrics, evaluate  # noqa: E402
from kgp_models.link_prediction.objectives import AllCandidates, Sampled, objective  # noqa: E402
from kgp_models.link_prediction.pool import Pool  # noqa: E402
from kgp_models.link_prediction.scoring import ByRelation, negative_distances  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import optimizer, step, train  # noqa: E402

PAPER = sorted((Path(__file__).parents[2] / "benchmarks/settings/link_prediction/paper").glob("*.yaml"))
N, R = 24, 3
QUICK = {"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 6, "check_every": 2, "batch_size": 32}


def small_graph(seed: int = 0, entities: int = N, relations: int = R, edges: int = 120) -> Triples:
    """Images joined to concepts by r0, concepts to concepts by r1 and its inverse r2."""
    random = np.random.default_rng(seed)
    nodes = {i: Node(f"e{i:03}", "Image" if i < entities // 3 else "Concept") for i in range(entities)}
    rows = set()
    while len(rows) < edges:
        h, t = (int(x) for x in random.integers(entities, size=2))
        if h < entities // 3 <= t:
            rows.add((h, "r0", t))
        elif min(h, t) >= entities // 3 and relations > 2:
            rows |= {(h, "r1", t), (t, "r2", h)}
    return Triples.build(sorted(rows), nodes)


def small_arguments(name: str) -> dict[str, Any]:
    return {"embedding_dim": 16} if name != "ntn" else {"embedding_dim": 8, "num_slices": 3}


class Table:
    """A scorer whose score of every triple is given: (N, R, N)."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = torch.from_numpy(scores)
        self.num_entities, self.num_relations = scores.shape[0], scores.shape[1]

    def triples(self, h: Any, r: Any, t: Any) -> Any:
        return self.scores[h, r, t]

    def tails(self, h: Any, r: Any) -> Any:
        return self.scores[h, r]

    def heads(self, r: Any, t: Any) -> Any:
        return self.scores[:, r, t].T

    def relations(self, h: Any, t: Any) -> Any:
        return self.scores[h, :, t]


def slow_rank(scores: np.ndarray, triple: tuple[int, int, int], place: int, true: set[tuple[int, int, int]]) -> float:
    """The realistic rank, candidate by candidate."""
    higher = equal = 0
    for candidate in range(scores.shape[place]):
        other = (*triple[:place], candidate, *triple[place + 1 :])
        if other == triple or other in true:
            continue
        higher += scores[other] > scores[triple]
        equal += scores[other] == scores[triple]
    return 1 + higher + equal / 2


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 4), st.integers(1, 5), st.integers(1, 7))
@hypothesis_settings(max_examples=60)
def test_ranks_equal_a_slow_count_of_candidates_with_ties(seed: int, n: int, m: int, values: int, batch: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(values, size=(n, m, n)).astype(float)  # few values, so many ties
    every = np.argwhere(random.random((n, m, n)) < 0.4)
    if not len(every):
        return
    test = every[random.permutation(len(every))[: len(every) // 2 + 1]]
    result = evaluate(Table(scores), test, Known(every, n, m), batch=batch)
    true = {tuple(row) for row in every.tolist()}
    for place, task in enumerate(TASKS):
        for row, triple in enumerate(map(tuple, test.tolist())):
            assert result.filtered[task][row] == slow_rank(scores, triple, place, true)
            assert result.raw[task][row] == slow_rank(scores, triple, place, set())


def test_metrics_are_their_definitions() -> None:
    metrics = Metrics.of(np.array([1.0, 2.5, 4.0, 20.0]))
    assert metrics.mr == (1 + 2.5 + 4 + 20) / 4
    assert metrics.mrr == pytest.approx((1 + 1 / 2.5 + 1 / 4 + 1 / 20) / 4)
    assert metrics.hits == {1: 25.0, 3: 50.0, 5: 75.0, 10: 75.0}
    assert math.isnan(Metrics.of(np.array([])).mr)


def test_a_constant_score_ranks_in_the_middle() -> None:
    triples = small_graph()
    known = Known(np.empty((0, 3), dtype=np.int64), N, R)
    known = Known(triples.ids[:5], N, R)
    result = evaluate(Table(np.zeros((N, R, N))), triples.ids[:5], known)
    assert result.raw["tail"].tolist() == [1 + (N - 1) / 2] * 5


def test_a_model_that_diverged_is_an_error() -> None:
    triples = small_graph()
    with pytest.raises(KgpError, match="diverged"):
        evaluate(Table(np.full((N, R, N), np.nan)), triples.ids[:3], Known(triples.ids, N, R))


@pytest.mark.parametrize("name", zoo.ZOO)
@pytest.mark.parametrize("reciprocal", [False, True])
def test_every_scorer_gives_the_scores_of_its_own_interaction(name: str, reciprocal: bool) -> None:
    document = {"model": name, "arguments": small_arguments(name), "objective": "cross-entropy"}
    model, scorer = zoo.build(TrainingSettings.of({**document, "reciprocal": reciprocal}), N, R, seed=1)
    with torch.no_grad():  # away from zero, where many are the same
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    model.post_parameter_update()  # where the model is constrained
    model.eval()
    h, r, t = torch.tensor([[0, 1, 2, 1], [2, 0, 1, 1], [5, 9, 9, 4]])
    forward, backward = (2 * r, 2 * r + 1) if reciprocal else (r, r)
    with torch.no_grad():
        assert_close(scorer.triples(h, r, t), model.score_hrt(torch.stack([h, forward, t], dim=1))[:, 0])
        assert_close(scorer.tails(h, r), model.score_t(torch.stack([h, forward], dim=1)))
        if reciprocal:
            assert_close(scorer.heads(r, t), model.score_t(torch.stack([t, backward], dim=1)))
        else:
            assert_close(scorer.heads(r, t), model.score_h(torch.stack([r, t], dim=1)))
            every = [model.score_hrt(torch.stack([h, torch.full_like(h, i), t], dim=1)) for i in range(R)]
            assert_close(scorer.relations(h, t), torch.cat(every, dim=1))


def assert_close(ours: Any, theirs: Any) -> None:
    scale = 1 + theirs.abs().max()
    assert float((ours - theirs).abs().max() / scale) < 2e-5


def test_simple_lets_a_head_vector_meet_a_tail_vector() -> None:
    model, _ = zoo.build(TrainingSettings("simple", {"embedding_dim": 4}), N, R, seed=0)
    e1, e2 = (representation(None).detach().numpy() for representation in model.entity_representations)
    r1, r2 = (representation(None).detach().numpy() for representation in model.relation_representations)
    expected = sum(e1[3] * r1[1] * e2[7]) / 2 + sum(e1[7] * r2[1] * e2[3]) / 2
    assert model.score_hrt(torch.tensor([[3, 1, 7]])).item() == pytest.approx(expected, rel=1e-5)


def test_transh_projects_on_a_plane_with_a_unit_normal() -> None:
    model, _ = zoo.build(TrainingSettings("transh", {"embedding_dim": 4}), N, R, seed=0)
    model.post_parameter_update()
    e = model.entity_representations[0](None).detach().numpy()
    w, d = (representation(None).detach().numpy()[1] for representation in model.relation_representations)
    assert np.linalg.norm(w) == pytest.approx(1, abs=1e-6)
    h, t = (e[i] - w.dot(e[i]) * w for i in (3, 7))
    assert abs(h.dot(w)) < 1e-6
    expected = -np.linalg.norm(h + d - t)
    assert model.score_hrt(torch.tensor([[3, 1, 7]])).item() == pytest.approx(expected, rel=1e-5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_each_row_is_multiplied_with_its_relations_matrix(relations: list[int]) -> None:
    r, rows, matrices = torch.tensor(relations), torch.randn(len(relations), 3), torch.randn(5, 3, 2)
    groups = ByRelation(r)
    product = groups.back(groups.multiply(rows[groups.rows], matrices[groups.relations]))
    assert_close(product, torch.stack([row @ matrices[i] for row, i in zip(rows, relations, strict=True)]))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_cutting_by_relation_and_joining_gives_the_batch_back(relations: list[int]) -> None:
    r = torch.tensor(relations)
    groups, rows = ByRelation(r), torch.arange(len(r))
    parts = groups.cut(rows)
    assert [set(r[part].tolist()) for part in parts] == [{relation} for relation in groups.relations.tolist()]
    assert sorted(groups.relations.tolist()) == sorted(set(relations))
    assert groups.join(parts).tolist() == rows.tolist()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("power", [False, True])
def test_pairwise_distances_are_the_norms_of_the_differences(p: int, power: bool) -> None:
    x, y = torch.randn(5, 7, dtype=torch.float64), torch.randn(6, 7, dtype=torch.float64)
    norms = torch.linalg.vector_norm(x.unsqueeze(1) - y, ord=p, dim=-1)
    assert_close(negative_distances(x, y, p, power), -norms.pow(p) if power else -norms)


@pytest.mark.parametrize("name", ["margin", "softplus", "self-adversarial"])
def test_sampled_losses_are_their_formulas(name: str) -> None:
    triples = small_graph()
    document = {"model": "distmult", "objective": name, "margin": 2.0, "negatives": 3, "temperature": 0.5}
    settings = TrainingSettings.of(document)
    loss = Sampled(settings, triples.ids, N, R, "cpu")
    scorer = Table(np.random.default_rng(0).normal(size=(N, R, N)))
    batch = torch.from_numpy(triples.ids[:4])
    torch.manual_seed(5)
    value = loss.loss(scorer, batch).item()  # type: ignore[arg-type]
    torch.manual_seed(5)
    negatives = loss.corrupted(batch, 3)
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    terms = []
    for i, triple in enumerate(batch.tolist()):
        true = float(scorer.scores[tuple(triple)])
        false = [float(scorer.scores[tuple(row)]) for row in negatives[3 * i : 3 * i + 3].tolist()]
        if name == "margin":
            terms.append(np.mean([max(0.0, 2 + f - true) for f in false]))
        elif name == "softplus":
            terms.append((math.log(1 + math.exp(-true)) + np.mean([math.log(1 + math.exp(f)) for f in false])) / 2)
        else:
            weights = np.exp(0.5 * np.array(false)) / np.exp(0.5 * np.array(false)).sum()
            against = -sum(w * math.log(sigmoid(-2 - f)) for w, f in zip(weights, false, strict=True))
            terms.append((against - math.log(sigmoid(2 + true))) / 2)
    assert value == pytest.approx(np.mean(terms), rel=1e-9)


def test_a_corrupted_triple_differs_in_one_part_and_the_parts_take_turns() -> None:
    triples = small_graph()
    loss = Sampled(TrainingSettings("distmult", negatives=3), triples.ids, N, R, "cpu")
    batch = torch.from_numpy(triples.ids)
    different = (loss.corrupted(batch, 3) != batch.repeat_interleave(3, dim=0)).numpy()
    assert different.sum(axis=1).tolist() == [1] * (3 * len(batch))
    assert different.sum(axis=0).tolist() == [len(batch)] * 3


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_losses_over_all_candidates_are_their_formulas(name: str) -> None:
    triples = small_graph()
    document = {"model": "distmult", "objective": name, "relation_weight": 0.25, "batch_size": 40}
    if name == "binary-cross-entropy":
        document["label_smoothing"] = 0.1
    loss = AllCandidates(TrainingSettings.of(document), triples.ids, N, R, "cpu")
    scores = np.random.default_rng(0).normal(size=(N, R, N))
    true = {tuple(row) for row in triples.ids.tolist()}
    batches = list(loss.batches())
    assert len(batches) == math.ceil(len(triples) / 40)
    for batch in batches:
        expected = 0.0
        for place, slot in enumerate(TASKS):
            total, count = 0.0, 0
            for question in map(tuple, batch[slot].tolist()):
                candidates = [(*question[:place], c, *question[place + 1 :]) for c in range((N, R, N)[place])]
                values = np.array([scores[c] for c in candidates])
                labels = np.array([float(c in true) for c in candidates])
                if name == "cross-entropy":
                    total += (labels * (np.log(np.exp(values).sum()) - values)).sum()
                    count += labels.sum()
                else:
                    labels = 0.9 * labels + 0.1 / len(labels)
                    total -= (labels * np.log(1 / (1 + np.exp(-values)))).sum()
                    total -= ((1 - labels) * np.log(1 / (1 + np.exp(values)))).sum()
                    count += len(labels)
            expected += (0.25 if slot == "relation" else 1.0) * total / count
        assert loss.loss(Table(scores), batch).item() == pytest.approx(expected, rel=1e-6)  # type: ignore[arg-type]


def test_the_fast_gradient_of_cross_entropy_is_autograds() -> None:
    triples = small_graph()
    settings = TrainingSettings.of(
        {"model": "distmult", "objective": "cross-entropy", "arguments": {"embedding_dim": 6}}
    )
    model, scorer = zoo.build(settings, N, R, seed=0)
    loss = objective(settings, triples.ids, N, R)
    assert isinstance(loss, AllCandidates)
    batch = next(loss.batches())
    loss.loss(scorer, batch).backward()
    ours = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    total = torch.zeros(())
    for place, slot in enumerate(TASKS):
        h, r, t = torch.from_numpy(batch[slot]).unbind(1)
        logits = {"head": scorer.heads, "relation": scorer.relations, "tail": scorer.tails}[slot](
            *[x for i, x in enumerate((h, r, t)) if i != place]
        )
        rows, answers = (torch.from_numpy(ids) for ids in loss.known.answers(slot, batch[slot]))
        total = total - torch.log_softmax(logits, dim=1)[rows, answers].mean()
    total.backward()
    for mine, parameter in zip(ours, model.parameters(), strict=True):
        assert_close(mine, parameter.grad)


def test_each_question_is_asked_once_an_epoch_with_all_its_answers() -> None:
    triples = small_graph()
    loss = AllCandidates(
        TrainingSettings("distmult", objective="cross-entropy", batch_size=30), triples.ids, N, R, "cpu"
    )
    for place, slot in enumerate(TASKS):
        asked = np.concatenate([batch[slot] for batch in loss.batches()])
        rows, answers = loss.known.answers(slot, asked)
        back = asked[rows].copy()
        back[:, place] = answers
        assert sorted(map(tuple, back.tolist())) == sorted(map(tuple, triples.ids.tolist()))


def test_the_nuclear_3_norm_is_its_formula() -> None:
    settings = TrainingSettings.of(
        {"model": "complex-n3", "objective": "cross-entropy", "reciprocal": True, "arguments": {"embedding_dim": 4}}
    )
    model, scorer = zoo.build(settings, N, R, seed=0)
    e, links = (
        part[0](None).detach().numpy() for part in (model.entity_representations, model.relation_representations)
    )
    h, r, t = torch.tensor([1, 2]), torch.tensor([0, 2]), torch.tensor([3, 4])
    cube = lambda x: (np.abs(x) ** 3).sum()  # noqa: E731
    expected = sum(cube(e[i]) for i in (1, 2, 3, 4)) + sum(cube(links[i]) for i in (0, 4, 1, 5)) / 2
    assert scorer.nuclear_3_norm(h, r, t).item() == pytest.approx(expected, rel=1e-5)


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
    with pytest.raises(InputError, match=r"x\.yaml: is not a readable YAML file"):
        TrainingSettings.read(damaged)


def test_the_frequency_baseline_counts(split: Split) -> None:
    scorer = Frequency(split)
    train_rows = split.train.tolist()
    for h, r, t in split.test[:10].tolist():
        ours = scorer.tails(torch.tensor([h]), torch.tensor([r]))[0]
        assert int(ours[t]) == sum(row[1] == r and row[2] == t for row in train_rows)
        ours = scorer.heads(torch.tensor([r]), torch.tensor([t]))[0]
        assert int(ours[h]) == sum(row[1] == r and row[0] == h for row in train_rows)
    concept, image = N - 1, 0
    relations = scorer.relations(torch.tensor([image, concept]), torch.tensor([concept, concept - 1]))
    assert relations.argmax(dim=1).tolist()[0] == 0
    assert relations.argmax(dim=1).tolist()[1] in (1, 2)


def test_the_inverse_rule_finds_what_training_has_the_other_way_round() -> None:
    triples = small_graph(edges=200, entities=40)
    split = splits.make("paper", triples, 0)
    scorer = InverseRule(split)
    seen = {tuple(row) for row in split.train.tolist()}
    inverse = {1: 2, 2: 1}
    found = [(h, r, t) for h, r, t in split.test.tolist() if r in inverse and (t, inverse[r], h) in seen]
    assert found
    for h, r, t in found:
        assert float(scorer.tails(torch.tensor([h]), torch.tensor([r]))[0, t]) > 0.5
        assert float(scorer.heads(torch.tensor([r]), torch.tensor([t]))[0, h]) > 0.5
        if h != t:
            assert (
                int(scorer.relations(torch.tensor([h]), torch.tensor([t]))[0].argmax()) == r
                or (h, inverse[r], t) in seen
            )


def test_neighbours_are_weighted_by_the_cosine_of_their_edges(split: Split) -> None:
    train_rows = split.train.tolist()
    edges = [{(r, "to", t) for h, r, t in train_rows if h == e} | {(r, "from", h) for h, r, t in train_rows if t == e}
             for e in range(N)]  # fmt: skip
    weight = {edge: math.log(N / sum(edge in of for of in edges)) for of in edges for edge in of}
    norms = [math.sqrt(sum(weight[edge] ** 2 for edge in of)) + Neighbours.DAMPING for of in edges]

    def alike(a: int, b: int) -> float:
        return 0.0 if a == b else sum(weight[x] ** 2 for x in edges[a] & edges[b]) / norms[a] / norms[b]

    scorer = Neighbours(split)
    for h, r, t in split.test[:6].tolist():
        one = [torch.tensor([x]) for x in (h, r, t)]
        tails = [sum(alike(h, a) for a, b, c in train_rows if (b, c) == (r, e)) for e in range(N)]
        heads = [sum(alike(t, c) for a, b, c in train_rows if (a, b) == (e, r)) for e in range(N)]
        relations = [
            sum(alike(h, a) for a, b, c in train_rows if (b, c) == (q, t))
            + sum(alike(t, c) for a, b, c in train_rows if (a, b) == (h, q))
            for q in range(R)
        ]
        assert scorer.tails(one[0], one[1])[0].tolist() == pytest.approx(tails, abs=1e-5)
        assert scorer.heads(one[1], one[2])[0].tolist() == pytest.approx(heads, abs=1e-5)
        assert scorer.relations(one[0], one[2])[0].tolist() == pytest.approx(relations, abs=1e-5)


def test_a_pool_is_at_least_as_likely_as_its_best_member_on_validation() -> None:
    triples = small_graph(edges=300, entities=60)
    split = splits.make("paper", triples, 0)
    trained = train(TrainingSettings.of({**QUICK, "epochs": 10}), split)
    pool = Pool(split, {"distmult": trained.scorer}).fit(split)
    assert pool.names == ["distmult", *BASELINES]
    known = Known(triples.ids, triples.num_entities, triples.num_relations)
    for task in TASKS:
        assert (pool.weights[task] >= 0).all()
        pooled = likelihood(pool, task, split, known)
        for number in range(len(pool.names)):
            alone = Pool(split, {"distmult": trained.scorer})
            alone.weights[task] = torch.zeros_like(alone.weights[task])
            alone.weights[task][:, number] = 1.0
            assert pooled >= likelihood(alone, task, split, known) - 1e-3


def likelihood(pool: Pool, task: str, split: Split, known: Known) -> float:
    """The mean log-probability of the validation answers among the candidates not known to be true."""
    place, total = TASKS.index(task), 0.0
    for row in split.valid:
        h, r, t = torch.from_numpy(row).unsqueeze(1)
        with torch.no_grad():
            scores = {"head": pool.heads, "relation": pool.relations, "tail": pool.tails}[task](
                *[x for i, x in enumerate((h, r, t)) if i != place]
            )[0]
        true = scores[row[place]].clone()
        scores[known.answers(task, row[None])[1]] = -torch.inf
        scores[row[place]] = true
        total += float(true - scores.logsumexp(0))
    return total / len(split.valid)


def test_baselines_answer_in_the_shapes_that_ranks_need(split: Split) -> None:
    known = Known(split.triples.ids, N, R)
    for scorer in (make(split) for make in BASELINES.values()):
        metrics = evaluate(scorer, split.test, known).metrics()
        assert metrics["tail"].mr < (N + 1) / 2


def test_pykeen_computes_the_same_realistic_ranks(split: Split) -> None:
    from pykeen.evaluation import RankBasedEvaluator

    trained = train(TrainingSettings.of({**QUICK, "arguments": {"embedding_dim": 16}}), split)
    known = Known(split.triples.ids, N, R)
    ours = evaluate(trained.scorer, split.test, known).metrics()
    rest = [torch.from_numpy(part.copy()) for part in (split.train, split.valid)]
    theirs = RankBasedEvaluator().evaluate(
        trained.model,
        torch.from_numpy(split.test.copy()),
        additional_filter_triples=rest,
        use_tqdm=False,
        batch_size=16,
    )
    for task in ("head", "tail"):
        assert ours[task].mr == pytest.approx(theirs.get_metric(f"{task}.realistic.arithmetic_mean_rank"), rel=1e-6)
        assert ours[task].mrr == pytest.approx(
            theirs.get_metric(f"{task}.realistic.inverse_harmonic_mean_rank"), rel=1e-6
        )
        for k in (1, 3, 5, 10):
            assert ours[task].hits[k] == pytest.approx(100 * theirs.get_metric(f"{task}.realistic.hits_at_{k}"))


def test_a_split_of_a_graph_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="too small"):
        splits.make("paper", Triples(small_graph().ids[:2], small_graph().nodes, small_graph().relations))
