"""New links: found as a look at every triple finds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.datasets import splits
from kgplatform.errors import InputError, NotFoundError, UsageError
from kgplatform.export.triples import Node, Triples

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import checkpoint  # noqa: E402
from kgp_models.link_prediction.checkpoint import LinkCheckpoint  # noqa: E402
from kgp_models.link_prediction.predict import MAX_TOP, _Best, predict_triples  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train_link_model  # noqa: E402


def _image_concept_triples(seed: int, images: int = 12, concepts: int = 9) -> Triples:
    generator = np.random.default_rng(seed)
    nodes = {number: Node(f"I{number}", "Image") for number in range(images)}
    nodes |= {images + number: Node(f"C{number:07}", "Concept", f"concept {number}") for number in range(concepts)}
    triple_rows = {
        (int(generator.integers(images)), "POSITIVE", images + int(generator.integers(concepts))) for _ in range(60)
    }
    triple_rows |= {
        (images + int(head), "isa", images + int(tail)) for head, tail in generator.integers(concepts, size=(25, 2))
    }
    return Triples.build(sorted(triple_rows), nodes)


@pytest.fixture(scope="module")
def trained_distmult(tmp_path_factory: pytest.TempPathFactory) -> tuple[LinkCheckpoint, Triples]:
    model_folder = tmp_path_factory.mktemp("model")
    triples = _image_concept_triples(0)
    settings = TrainingSettings.from_document({"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 5})
    train_link_model(settings, splits.make("paper", triples, 0), folder=model_folder)
    return checkpoint.load_link_checkpoint(model_folder), triples


@pytest.mark.parametrize("relation", ["POSITIVE", "isa"])
@pytest.mark.parametrize("top", [1, 7, 10_000])
def test_the_predictions_are_the_best_new_triples(
    trained_distmult: tuple[LinkCheckpoint, Triples], relation: str, top: int
) -> None:
    model, triples = trained_distmult
    relation_id = triples.relations.index(relation)
    entity_kinds = ("Image", "Concept") if relation == "POSITIVE" else ("Concept", "Concept")
    training_triples = {tuple(row) for row in triples.ids.tolist()}
    expected_links = []
    with torch.no_grad():
        for head_id in range(triples.num_entities):
            tail_ids = [
                tail_id for tail_id in range(triples.num_entities) if triples.nodes[tail_id].kind == entity_kinds[1]
            ]
            if triples.nodes[head_id].kind != entity_kinds[0]:
                continue
            scores = model.scorer.tails(torch.tensor([head_id]), torch.tensor([relation_id]))[0].double().numpy()
            log_total = np.log(np.exp(scores[tail_ids]).sum())
            expected_links += [
                (scores[tail_id] - log_total, head_id, tail_id)
                for tail_id in tail_ids
                if tail_id != head_id and (head_id, relation_id, tail_id) not in training_triples
            ]
    expected_links = sorted(expected_links, key=lambda row: (-row[0], row[1], row[2]))[:top]
    predictions = predict_triples(model, triples, relation, top)
    assert [(prediction.head[1], prediction.tail[1]) for prediction in predictions] == [
        (triples.nodes[head_id].key, triples.nodes[tail_id].key) for _, head_id, tail_id in expected_links
    ]
    assert [prediction.score for prediction in predictions] == pytest.approx(
        [score for score, _, _ in expected_links], abs=1e-6
    )
    assert [prediction.rank for prediction in predictions] == list(range(1, len(predictions) + 1))


def test_one_head_or_one_tail_can_be_asked_about(trained_distmult: tuple[LinkCheckpoint, Triples]) -> None:
    model, triples = trained_distmult
    predictions = predict_triples(model, triples, "POSITIVE", 100, head="I3")
    existing_keys = {
        tail_key
        for head_key, relation_name, tail_key in triples.named()
        if (head_key, relation_name) == ("I3", "POSITIVE")
    }
    assert {prediction.head[1] for prediction in predictions} == {"I3"}
    assert {prediction.tail[1] for prediction in predictions} == {
        f"C{number:07}" for number in range(9)
    } - existing_keys
    predictions = predict_triples(model, triples, "POSITIVE", 100, tail="C0000002")
    existing_keys = {
        head_key
        for head_key, relation_name, tail_key in triples.named()
        if (relation_name, tail_key) == ("POSITIVE", "C0000002")
    }
    assert {prediction.tail[1] for prediction in predictions} == {"C0000002"}
    assert {prediction.head[1] for prediction in predictions} == {
        node.key for node in triples.nodes if node.kind == "Image"
    } - existing_keys


def test_entities_that_left_the_graph_are_not_predicted(trained_distmult: tuple[LinkCheckpoint, Triples]) -> None:
    model, triples = trained_distmult
    smaller_graph = Triples.build(
        [
            (head_id, triples.relations[relation_id], tail_id)
            for head_id, relation_id, tail_id in triples.ids.tolist()
            if 0 not in (head_id, tail_id)
        ],
        {node_id: node for node_id, node in enumerate(triples.nodes) if node_id != 0},
    )
    removed_key = triples.nodes[0].key
    predictions = predict_triples(model, smaller_graph, "isa", 10_000)
    assert predictions
    assert removed_key not in {
        entity_key for prediction in predictions for entity_key in (prediction.head[1], prediction.tail[1])
    }


def test_what_cannot_be_asked_is_one_clear_error(
    trained_distmult: tuple[LinkCheckpoint, Triples], tmp_path: Path
) -> None:
    model, triples = trained_distmult
    with pytest.raises(NotFoundError, match="knows no relation NEGATIVE"):
        predict_triples(model, triples, "NEGATIVE", 5)
    with pytest.raises(NotFoundError, match="knows no entity I99"):
        predict_triples(model, triples, "POSITIVE", 5, head="I99")
    with pytest.raises(UsageError, match="nothing left to predict"):
        predict_triples(model, triples, "POSITIVE", 5, head="I1", tail="C0000001")
    for top in (0, MAX_TOP + 1):
        with pytest.raises(UsageError, match="1 to 1,000,000"):
            predict_triples(model, triples, "POSITIVE", top)
    other_graph = Triples.build([(0, "POSITIVE", 1)], {0: Node("I777", "Image"), 1: Node("C9999999", "Concept")})
    with pytest.raises(InputError, match="of another graph"):
        predict_triples(model, other_graph, "POSITIVE", 5)
    with pytest.raises(NotFoundError, match="graph has no relation isa"):
        predict_triples(model, other_graph, "isa", 5)


def test_an_entity_of_a_kind_that_the_relation_does_not_join_is_refused(
    trained_distmult: tuple[LinkCheckpoint, Triples],
) -> None:
    """The model scores any triple; the graph has no image as a tail, and no concept as the head of a stance."""
    model, triples = trained_distmult
    concept_id = next(node.key for node in triples.nodes if node.kind == "Concept")
    with pytest.raises(InputError, match=f"{concept_id} cannot be the head of POSITIVE: its kind is Concept"):
        predict_triples(model, triples, "POSITIVE", 3, head=concept_id)
    with pytest.raises(InputError, match="I0 cannot be the tail of POSITIVE: its kind is Image"):
        predict_triples(model, triples, "POSITIVE", 3, tail="I0")
    with pytest.raises(InputError, match="I0 cannot be the head of isa"):
        predict_triples(model, triples, "isa", 3, head="I0")


@given(st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=6), st.integers(1, 20))
def test_the_best_of_all_batches_stay_and_of_equal_scores_the_lower_ids(batches: list[list[int]], top: int) -> None:
    best, all_entries = _Best(top), []
    for batch_number, scores in enumerate(batches):
        pairs = [((7 * position) % 5, 100 * batch_number + position) for position in range(len(scores))]
        head_ids, tail_ids = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
        best.add(np.array(scores, dtype=np.float64), head_ids, tail_ids)
        all_entries += [(-score, *pair) for score, pair in zip(scores, pairs, strict=True)]
    expected = [(float(-score), head_id, tail_id) for score, head_id, tail_id in sorted(all_entries)[:top]]
    assert list(best.ordered()) == expected
