"""New links: found as a look at every triple finds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kgplatform.errors import InputError, NotFoundError, UsageError
from kgplatform.export import splits
from kgplatform.export.triples import Node, Triples

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import checkpoint  # noqa: E402
from kgp_models.link_prediction.checkpoint import Checkpoint  # noqa: E402
from kgp_models.link_prediction.predict import predict_links  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train  # noqa: E402


def graph(seed: int, images: int = 12, concepts: int = 9) -> Triples:
    random = np.random.default_rng(seed)
    nodes = {i: Node(f"I{i}", "Image") for i in range(images)}
    nodes |= {images + i: Node(f"C{i:07}", "Concept", f"concept {i}") for i in range(concepts)}
    rows = {(int(random.integers(images)), "POSITIVE", images + int(random.integers(concepts))) for _ in range(60)}
    rows |= {(images + int(a), "isa", images + int(b)) for a, b in random.integers(concepts, size=(25, 2))}
    return Triples.build(sorted(rows), nodes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Triples]:
    folder = tmp_path_factory.mktemp("model")
    triples = graph(0)
    settings = TrainingSettings.of({"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 5})
    train(settings, splits.make("paper", triples, 0), folder=folder)
    return checkpoint.load(folder), triples


@pytest.mark.parametrize("relation", ["POSITIVE", "isa"])
@pytest.mark.parametrize("top", [1, 7, 10_000])
def test_the_predictions_are_the_best_new_triples(trained: tuple[Checkpoint, Triples], relation: str, top: int) -> None:
    model, triples = trained
    r = triples.relations.index(relation)
    kinds = ("Image", "Concept") if relation == "POSITIVE" else ("Concept", "Concept")
    seen = {tuple(row) for row in triples.ids.tolist()}
    expected = []
    with torch.no_grad():
        for h in range(triples.num_entities):
            tails = [t for t in range(triples.num_entities) if triples.nodes[t].kind == kinds[1]]
            if triples.nodes[h].kind != kinds[0]:
                continue
            scores = model.scorer.tails(torch.tensor([h]), torch.tensor([r]))[0].double().numpy()
            total = np.log(np.exp(scores[tails]).sum())
            expected += [(scores[t] - total, h, t) for t in tails if t != h and (h, r, t) not in seen]
    expected = sorted(expected, key=lambda row: (-row[0], row[1], row[2]))[:top]
    found = predict_links(model, triples, relation, top)
    assert [(one.head[1], one.tail[1]) for one in found] == [
        (triples.nodes[h].key, triples.nodes[t].key) for _, h, t in expected
    ]
    assert [one.score for one in found] == pytest.approx([score for score, _, _ in expected], abs=1e-6)
    assert [one.rank for one in found] == list(range(1, len(found) + 1))


def test_one_head_or_one_tail_can_be_asked_about(trained: tuple[Checkpoint, Triples]) -> None:
    model, triples = trained
    found = predict_links(model, triples, "POSITIVE", 100, head="I3")
    known = {t for h, r, t in triples.named() if (h, r) == ("I3", "POSITIVE")}
    assert {one.head[1] for one in found} == {"I3"}
    assert {one.tail[1] for one in found} == {f"C{i:07}" for i in range(9)} - known
    found = predict_links(model, triples, "POSITIVE", 100, tail="C0000002")
    known = {h for h, r, t in triples.named() if (r, t) == ("POSITIVE", "C0000002")}
    assert {one.tail[1] for one in found} == {"C0000002"}
    assert {one.head[1] for one in found} == {n.key for n in triples.nodes if n.kind == "Image"} - known


def test_entities_that_left_the_graph_are_not_predicted(trained: tuple[Checkpoint, Triples]) -> None:
    model, triples = trained
    smaller = Triples.build(
        [(h, triples.relations[r], t) for h, r, t in triples.ids.tolist() if 0 not in (h, t)],
        {i: node for i, node in enumerate(triples.nodes) if i != 0},
    )
    gone = triples.nodes[0].key
    found = predict_links(model, smaller, "isa", 10_000)
    assert found
    assert gone not in {key for one in found for key in (one.head[1], one.tail[1])}


def test_what_cannot_be_asked_is_one_clear_error(trained: tuple[Checkpoint, Triples], tmp_path: Path) -> None:
    model, triples = trained
    with pytest.raises(NotFoundError, match="knows no relation NEGATIVE"):
        predict_links(model, triples, "NEGATIVE", 5)
    with pytest.raises(NotFoundError, match="knows no entity I99"):
        predict_links(model, triples, "POSITIVE", 5, head="I99")
    with pytest.raises(UsageError, match="nothing left to predict"):
        predict_links(model, triples, "POSITIVE", 5, head="I1", tail="C0000001")
    with pytest.raises(UsageError, match="at least 1"):
        predict_links(model, triples, "POSITIVE", 0)
    other = Triples.build([(0, "POSITIVE", 1)], {0: Node("I777", "Image"), 1: Node("C9999999", "Concept")})
    with pytest.raises(InputError, match="of another graph"):
        predict_links(model, other, "POSITIVE", 5)
    with pytest.raises(NotFoundError, match="graph has no relation isa"):
        predict_links(model, other, "isa", 5)
