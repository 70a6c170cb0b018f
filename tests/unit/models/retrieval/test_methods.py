"""FashionKLIP and KnowledgeCLIP: each loss is really in the objective, and a NEGATIVE edge is never a positive pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kgp_models.retrieval.fashionklip import Alignment, FashionSettings, diverse
from kgp_models.retrieval.knowledgeclip import (
    GraphNetwork,
    KnowledgeLosses,
    KnowledgeSettings,
    graph_edge_batches,
)
from kgp_models.retrieval.settings import FineTuning
from kgp_models.retrieval.train import fine_tune, pretrain
from kgplatform.datasets.knowledge import NEGATIVE, POSITIVE, UNCERTAIN, Knowledge
from tests.unit.models.retrieval import retrieval_world as world

pytestmark = pytest.mark.slow

TUNING = FineTuning(learning_rate=1e-3, epochs=2, patience=2, batch=8, varied=False)
PRETRAINING = KnowledgeSettings(epochs=2, batch=8, learning_rate=1e-3, layers=1, heads=2, pairs=4, relations=4)
FASHION = FashionSettings(concepts=2, prototypes=3, nearest=2)


def mentioned(count: int, seed: int) -> list[list[int]]:
    return world.random_squares(count, seed)


def weights_after(folder: Path, alignment: Alignment | None, weight: float = 0.5) -> Tensor:
    backbone = world.tiny_retrieval_backbone()
    fine_tune(backbone, world.example_pairs(16, 1), world.example_pairs(8, 2), TUNING, folder, 3, alignment, weight)
    return torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])


def pretrained_weights(folder: Path, knowledge: Knowledge, pictures: Tensor, settings: KnowledgeSettings) -> Tensor:
    backbone = world.tiny_retrieval_backbone()
    pretrain(backbone, knowledge, pictures, world.example_pairs(16, 1), settings, TUNING, folder, 3)
    return torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])


def test_fashionklip_aligns_concepts_beside_images_and_texts(tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    alignment = Alignment(knowledge, graph_images, mentioned(16, 1), FASHION)
    backbone = world.tiny_retrieval_backbone()
    trained = fine_tune(
        backbone, world.example_pairs(16, 1), world.example_pairs(8, 2), TUNING, tmp_path / "with", 3, alignment, 0.5
    )
    assert all(epoch_record["itc"] > 0 and epoch_record["cva"] > 0 for epoch_record in trained.history)
    plain_weights = weights_after(tmp_path / "without", None)
    aligned_weights = torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])
    assert not torch.equal(plain_weights, aligned_weights)


def test_cva_without_weight_or_without_a_graph_is_the_backbone_alone_to_the_last_bit(tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    plain_weights = weights_after(tmp_path / "plain", None)
    unweighted = Alignment(knowledge, graph_images, mentioned(16, 1), FASHION)
    empty_alignment = Alignment(knowledge.without_edges(), graph_images, mentioned(16, 1), FASHION)
    assert empty_alignment.nothing
    assert torch.equal(plain_weights, weights_after(tmp_path / "empty", empty_alignment))
    # the order of concepts is drawn by the epoch's own generator, after the batches' order: only varied pictures differ
    assert torch.equal(plain_weights, weights_after(tmp_path / "zero", unweighted, weight=0.0))


def test_cva_trains_both_towers() -> None:
    knowledge, graph_images = world.picture_graph()
    backbone = world.tiny_retrieval_backbone()
    alignment = Alignment(knowledge, graph_images, mentioned(16, 1), FASHION)
    alignment.begin_epoch(backbone)
    pairs = world.example_pairs(16, 1)
    image_vectors = backbone.embed_images(pairs.images).detach()
    alignment.loss(backbone, torch.arange(16), image_vectors, torch.Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
    for tower in (backbone.image_tower, backbone.text_tower):
        assert (
            sum(float(parameter.grad.abs().sum()) for parameter in tower.parameters() if parameter.grad is not None) > 0
        )


def test_prototypes_are_positive_images_of_the_concept_and_nothing_else() -> None:
    knowledge, graph_images = world.picture_graph()
    backbone = world.tiny_retrieval_backbone()
    alignment = Alignment(knowledge, graph_images, [[0, 1, 2, 3]], FASHION)
    alignment.begin_epoch(backbone)
    stances = {(image, concept): stance for image, stance, concept in knowledge.stances.tolist()}
    assert set(alignment._prototypes) == {0, 1, 2, 3}
    for concept, images in alignment._prototypes.items():
        assert 0 < len(images) <= FASHION.prototypes
        assert all(stances[image, concept] == POSITIVE for image in images.tolist())


def test_cva_is_what_the_words_say() -> None:
    """One concept a report, one prototype: the loss is CLIP's between prototypes and names, by hand."""
    knowledge, graph_images = world.picture_graph()
    backbone = world.tiny_retrieval_backbone().eval()
    settings = FashionSettings(concepts=1, prototypes=1, nearest=1)
    alignment = Alignment(knowledge, graph_images, [[0], [2]], settings)
    alignment.begin_epoch(backbone)
    report_images = backbone.embed_images(world.example_pairs(2, 1).images)
    cva_loss = alignment.loss(backbone, torch.arange(2), report_images, torch.Generator().manual_seed(0)).detach()
    first_prototype, second_prototype = (int(alignment._prototypes[concept][0]) for concept in (0, 2))
    name_vectors = backbone.embed_texts(backbone.tokens(["effusion", "nodule"]))
    image_vectors = backbone.embed_images(graph_images[sorted({first_prototype, second_prototype})])
    stance_table = {
        (int(image_index), int(concept_index)): int(stance) for image_index, stance, concept_index in knowledge.stances
    }
    row_losses: list[float] = []
    logits = (backbone.scale * image_vectors @ name_vectors.T).detach().double().numpy()
    prototype_images = sorted({first_prototype, second_prototype})
    positive = np.array(
        [[stance_table.get((image, concept)) == POSITIVE for concept in (0, 2)] for image in prototype_images]
    )
    ignored = np.array(
        [[stance_table.get((image, concept)) == UNCERTAIN for concept in (0, 2)] for image in prototype_images]
    )
    for matrix, positive_mask, ignored_mask in ((logits, positive, ignored), (logits.T, positive.T, ignored.T)):
        for row_logits, is_positive, is_ignored in zip(matrix, positive_mask, ignored_mask, strict=True):
            if is_positive.any():
                denominator = np.exp(row_logits[is_positive | ~is_ignored]).sum()
                row_losses.append(
                    float(np.mean([-np.log(np.exp(logit) / denominator) for logit in row_logits[is_positive]]))
                )
    directions = [row_losses[:2], row_losses[2:]]  # prototypes look for names, names for prototypes
    expected = sum(sum(direction_losses) / len(direction_losses) for direction_losses in directions) / 2
    assert len(prototype_images) == 2
    assert float(cva_loss) == pytest.approx(expected, rel=1e-4)


def test_diverse_vectors_are_near_the_query_and_far_from_each_other() -> None:
    vectors = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0.0, 0.0], [0.999, 0.04, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]]), dim=1
    )
    query = torch.tensor([1.0, 0.0, 0.0])
    assert diverse(vectors, query, 4, 2, 0.0).tolist() == [0, 1]  # relevance alone
    assert diverse(vectors, query, 3, 2, 0.8).tolist() == [0, 2]  # not twice the same
    assert len(diverse(vectors, query, 20, 10, 0.8)) == 4


@pytest.mark.parametrize("loss", ["e2e", "e2r", "g2e", "kd"])
def test_each_of_knowledgeclips_losses_is_in_the_objective(loss: str, tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    all_weights = pretrained_weights(tmp_path / "whole", knowledge, graph_images, PRETRAINING)
    without: dict[str, Any] = {loss: 0.0}
    reduced_weights = pretrained_weights(tmp_path / "without", knowledge, graph_images, replace(PRETRAINING, **without))
    assert not torch.allclose(all_weights, reduced_weights)
    backbone = world.tiny_retrieval_backbone()
    loss_weights = {loss_name: 1.0 if loss_name == loss else 0.0 for loss_name in ("e2e", "e2r", "g2e", "kd")}
    settings = replace(PRETRAINING, **loss_weights)  # type: ignore[arg-type]
    trained = pretrain(
        backbone, knowledge, graph_images, world.example_pairs(16, 1), settings, TUNING, tmp_path / "alone", 3
    )
    assert set(trained.history[0]) == {loss}


@pytest.mark.parametrize("loss", ["e2e", "e2r", "g2e"])
def test_each_loss_on_the_graph_trains_both_towers_and_falls(loss: str, tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    loss_weights = {loss_name: 1.0 if loss_name == loss else 0.0 for loss_name in ("e2e", "e2r", "g2e", "kd")}
    settings = replace(PRETRAINING, epochs=12, **loss_weights)  # type: ignore[arg-type]
    backbone = world.tiny_retrieval_backbone()
    original_state = {loss_name: value.clone() for loss_name, value in backbone.state_dict().items()}
    trained = pretrain(backbone, knowledge, graph_images, world.example_pairs(16, 1), settings, TUNING, tmp_path, 3)
    assert trained.history[-1][loss] < trained.history[0][loss]
    for tower in ("image_tower.stem.weight", "text_tower.words.weight"):
        assert not torch.equal(original_state[tower], backbone.state_dict()[tower])


def test_an_empty_graph_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    knowledge, graph_images = world.picture_graph()
    backbone = world.tiny_retrieval_backbone()
    original_weights = torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])
    assert torch.equal(
        original_weights, pretrained_weights(tmp_path, knowledge.without_edges(), graph_images, PRETRAINING)
    )


def test_a_negative_edge_is_never_a_positive_pair_and_an_uncertain_one_is_neither() -> None:
    """Turning NEGATIVE edges into silence changes no E2E; into POSITIVE it does. UNCERTAIN leaves the softmax."""
    knowledge, graph_images = world.picture_graph(count=8)
    settings = replace(PRETRAINING, e2r=0.0, g2e=0.0, batch=8)
    backbone = world.tiny_retrieval_backbone().eval()

    def e2e(variant: Knowledge) -> float:
        torch.manual_seed(0)
        losses = KnowledgeLosses(variant, settings)
        [batch] = graph_edge_batches(variant, settings, 1)
        concept_vectors = backbone.embed_texts(
            backbone.tokens([variant.concepts[concept_index] for concept_index in batch.concepts.tolist()])
        )
        loss_terms = losses(backbone, batch, backbone.embed_images(graph_images[batch.images]), concept_vectors)
        return float(loss_terms["e2e"].detach())

    positive_images = {int(image) for image, stance, _ in knowledge.stances if stance == POSITIVE}
    with_positives = replace(
        knowledge, stances=knowledge.stances[np.isin(knowledge.stances[:, 0], sorted(positive_images))]
    )
    without_negatives = replace(
        with_positives, stances=with_positives.stances[with_positives.stances[:, 1] != NEGATIVE]
    )
    assert e2e(with_positives) == pytest.approx(e2e(without_negatives), rel=1e-5)
    assert e2e(with_positives) != pytest.approx(e2e(with_positives.without_stance()), rel=1e-3)
    without_uncertain = replace(
        with_positives, stances=with_positives.stances[with_positives.stances[:, 1] != UNCERTAIN]
    )
    assert e2e(with_positives) != pytest.approx(e2e(without_uncertain), rel=1e-5)


def test_the_graph_network_is_a_mean_over_neighbours_by_relation_and_direction() -> None:
    torch.manual_seed(0)
    network = GraphNetwork(2)
    torch.nn.init.normal_(network.gate)
    torch.nn.init.normal_(network.shift)
    entities = torch.randn(4, 512)
    edges = torch.tensor([[0, 0, 1], [2, 1, 1]])
    entity_vectors, has_neighbours = network(entities, edges)
    assert has_neighbours.tolist() == [True, True, True, False]
    into_one = (entities[0] * network.gate[0] + network.shift[0] + entities[2] * network.gate[1] + network.shift[1]) / 2
    into_two = entities[1] * network.gate[3] + network.shift[3]  # the second relation, backwards
    for entity_index, entity_sum in ((1, into_one), (2, into_two)):
        expected = torch.nn.functional.normalize(network.out(entity_sum), dim=0)
        assert torch.allclose(entity_vectors[entity_index], expected, atol=1e-5)


def test_an_epoch_has_each_image_once_with_all_its_stances() -> None:
    knowledge, _ = world.picture_graph()
    stance_triples: list[tuple[int, int, int]] = []
    for batch in graph_edge_batches(knowledge, PRETRAINING, 7):
        for image, stance, concept in batch.stances.tolist():
            stance_triples.append((int(batch.images[image]), stance, int(batch.concepts[concept])))
        for head, relation, tail in batch.relations.tolist():
            relation_triple = [int(batch.concepts[head]), relation, int(batch.concepts[tail])]
            assert relation_triple in knowledge.relations.tolist()
    assert sorted(stance_triples) == sorted(map(tuple, knowledge.stances.tolist()))


def test_of_the_nearest_prototypes_some_may_be_drawn_in_place_of_all() -> None:
    knowledge, graph_images = world.picture_graph()
    backbone = world.tiny_retrieval_backbone()
    nearest_alignment = Alignment(knowledge, graph_images, [[0]], replace(FASHION, concepts=1, prototypes=3, nearest=3))
    sampled_alignment = Alignment(
        knowledge, graph_images, [[0]], replace(FASHION, concepts=1, prototypes=3, nearest=3, drawn=1)
    )
    image_vectors = backbone.eval().embed_images(world.example_pairs(1, 1).images).detach()
    for alignment in (nearest_alignment, sampled_alignment):
        alignment.begin_epoch(backbone)
    generator = torch.Generator().manual_seed(0)
    prototype_weights = {
        prototype: weight
        for _, prototype, weight in nearest_alignment._slots(torch.tensor([0]), image_vectors, generator)
    }
    assert sum(prototype_weights.values()) == pytest.approx(1.0)
    samples = [sampled_alignment._slots(torch.tensor([0]), image_vectors, generator) for _ in range(600)]
    assert all(len(slots) == 1 and slots[0][2] == 1.0 for slots in samples)
    for prototype, weight in prototype_weights.items():
        share = sum(slots[0][1] == prototype for slots in samples) / len(samples)
        assert share == pytest.approx(weight, abs=0.08)
