"""FashionKLIP and KnowledgeCLIP: each loss is really in the objective, and a NEGATIVE edge is never a positive pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kgp_models.retrieval.fashionklip import Alignment, FashionSettings, diverse
from kgp_models.retrieval.knowledgeclip import (
    GraphNetwork,
    KnowledgeLosses,
    KnowledgeSettings,
    batches,
)
from kgp_models.retrieval.settings import FineTuning
from kgp_models.retrieval.train import fine_tune, pretrain
from kgplatform.retrieval.knowledge import NEGATIVE, POSITIVE, UNCERTAIN, Knowledge
from tests.unit import retrieval_world as world

pytestmark = pytest.mark.slow

TUNING = FineTuning(learning_rate=1e-3, epochs=2, patience=2, batch=8, varied=False)
PRETRAINING = KnowledgeSettings(epochs=2, batch=8, learning_rate=1e-3, layers=1, heads=2, pairs=4, relations=4)
FASHION = FashionSettings(concepts=2, prototypes=3, nearest=2)


def mentioned(count: int, seed: int) -> list[list[int]]:
    return world.shown_by(count, seed)


def weights_after(folder: Path, alignment: Alignment | None, weight: float = 0.5) -> Tensor:
    backbone = world.backbone()
    fine_tune(backbone, world.example_pairs(16, 1), world.example_pairs(8, 2), TUNING, folder, 3, alignment, weight)
    return torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])


def pretrained_weights(folder: Path, knowledge: Knowledge, pictures: Tensor, settings: KnowledgeSettings) -> Tensor:
    backbone = world.backbone()
    pretrain(backbone, knowledge, pictures, world.example_pairs(16, 1), settings, TUNING, folder, 3)
    return torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])


def test_fashionklip_aligns_concepts_beside_images_and_texts(tmp_path: Path) -> None:
    knowledge, pictures = world.graph()
    alignment = Alignment(knowledge, pictures, mentioned(16, 1), FASHION)
    backbone = world.backbone()
    trained = fine_tune(
        backbone, world.example_pairs(16, 1), world.example_pairs(8, 2), TUNING, tmp_path / "with", 3, alignment, 0.5
    )
    assert all(row["itc"] > 0 and row["cva"] > 0 for row in trained.history)
    plain = weights_after(tmp_path / "without", None)
    aligned = torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])
    assert not torch.equal(plain, aligned)


def test_cva_without_weight_or_without_a_graph_is_the_backbone_alone_to_the_last_bit(tmp_path: Path) -> None:
    knowledge, pictures = world.graph()
    plain = weights_after(tmp_path / "plain", None)
    unweighted = Alignment(knowledge, pictures, mentioned(16, 1), FASHION)
    empty = Alignment(knowledge.without_edges(), pictures, mentioned(16, 1), FASHION)
    assert empty.nothing
    assert torch.equal(plain, weights_after(tmp_path / "empty", empty))
    # the order of concepts is drawn by the epoch's own generator, after the batches' order: only varied pictures differ
    assert torch.equal(plain, weights_after(tmp_path / "zero", unweighted, weight=0.0))


def test_cva_trains_both_towers() -> None:
    knowledge, pictures = world.graph()
    backbone = world.backbone()
    alignment = Alignment(knowledge, pictures, mentioned(16, 1), FASHION)
    alignment.begin_epoch(backbone)
    pairs = world.example_pairs(16, 1)
    images = backbone.embed_images(pairs.images).detach()
    alignment.loss(backbone, torch.arange(16), images, torch.Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
    for tower in (backbone.image_tower, backbone.text_tower):
        assert sum(float(p.grad.abs().sum()) for p in tower.parameters() if p.grad is not None) > 0


def test_prototypes_are_positive_images_of_the_concept_and_nothing_else() -> None:
    knowledge, pictures = world.graph()
    backbone = world.backbone()
    alignment = Alignment(knowledge, pictures, [[0, 1, 2, 3]], FASHION)
    alignment.begin_epoch(backbone)
    stances = {(image, concept): stance for image, stance, concept in knowledge.stances.tolist()}
    assert set(alignment._prototypes) == {0, 1, 2, 3}
    for concept, images in alignment._prototypes.items():
        assert 0 < len(images) <= FASHION.prototypes
        assert all(stances[image, concept] == POSITIVE for image in images.tolist())


def test_cva_is_what_the_words_say() -> None:
    """One concept a report, one prototype: the loss is CLIP's between prototypes and names, by hand."""
    knowledge, pictures = world.graph()
    backbone = world.backbone().eval()
    settings = FashionSettings(concepts=1, prototypes=1, nearest=1)
    alignment = Alignment(knowledge, pictures, [[0], [2]], settings)
    alignment.begin_epoch(backbone)
    images = backbone.embed_images(world.example_pairs(2, 1).images)
    found = alignment.loss(backbone, torch.arange(2), images, torch.Generator().manual_seed(0)).detach()
    first, second = (int(alignment._prototypes[concept][0]) for concept in (0, 2))
    names = backbone.embed_texts(backbone.tokens(["effusion", "nodule"]))
    seen = backbone.embed_images(pictures[sorted({first, second})])
    table = {(int(i), int(c)): int(s) for i, s, c in knowledge.stances}
    rows: list[float] = []
    logits = (backbone.scale * seen @ names.T).detach().double().numpy()
    shown = sorted({first, second})
    positive = np.array([[table.get((image, concept)) == POSITIVE for concept in (0, 2)] for image in shown])
    ignored = np.array([[table.get((image, concept)) == UNCERTAIN for concept in (0, 2)] for image in shown])
    for matrix, good, left_out in ((logits, positive, ignored), (logits.T, positive.T, ignored.T)):
        for row, is_good, out in zip(matrix, good, left_out, strict=True):
            if is_good.any():
                among = np.exp(row[is_good | ~out]).sum()
                rows.append(float(np.mean([-np.log(np.exp(x) / among) for x in row[is_good]])))
    halves = [rows[:2], rows[2:]]  # prototypes look for names, names for prototypes
    total = sum(sum(half) / len(half) for half in halves) / 2
    assert len(shown) == 2
    assert float(found) == pytest.approx(total, rel=1e-4)


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
    knowledge, pictures = world.graph()
    whole = pretrained_weights(tmp_path / "whole", knowledge, pictures, PRETRAINING)
    without = pretrained_weights(tmp_path / "without", knowledge, pictures, replace(PRETRAINING, **{loss: 0.0}))
    assert not torch.allclose(whole, without)
    backbone = world.backbone()
    alone = {name: 1.0 if name == loss else 0.0 for name in ("e2e", "e2r", "g2e", "kd")}
    settings = replace(PRETRAINING, **alone)  # type: ignore[arg-type]
    trained = pretrain(
        backbone, knowledge, pictures, world.example_pairs(16, 1), settings, TUNING, tmp_path / "alone", 3
    )
    assert set(trained.history[0]) == {loss}


@pytest.mark.parametrize("loss", ["e2e", "e2r", "g2e"])
def test_each_loss_on_the_graph_trains_both_towers_and_falls(loss: str, tmp_path: Path) -> None:
    knowledge, pictures = world.graph()
    alone = {name: 1.0 if name == loss else 0.0 for name in ("e2e", "e2r", "g2e", "kd")}
    settings = replace(PRETRAINING, epochs=12, **alone)  # type: ignore[arg-type]
    backbone = world.backbone()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    trained = pretrain(backbone, knowledge, pictures, world.example_pairs(16, 1), settings, TUNING, tmp_path, 3)
    assert trained.history[-1][loss] < trained.history[0][loss]
    for tower in ("image_tower.stem.weight", "text_tower.words.weight"):
        assert not torch.equal(before[tower], backbone.state_dict()[tower])


def test_an_empty_graph_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    knowledge, pictures = world.graph()
    backbone = world.backbone()
    before = torch.cat([parameter.detach().flatten() for parameter in backbone.parameters()])
    assert torch.equal(before, pretrained_weights(tmp_path, knowledge.without_edges(), pictures, PRETRAINING))


def test_a_negative_edge_is_never_a_positive_pair_and_an_uncertain_one_is_neither() -> None:
    """Turning NEGATIVE edges into silence changes no E2E; into POSITIVE it does. UNCERTAIN leaves the softmax."""
    knowledge, pictures = world.graph(count=8)
    settings = replace(PRETRAINING, e2r=0.0, g2e=0.0, batch=8)
    backbone = world.backbone().eval()

    def e2e(known: Knowledge) -> float:
        torch.manual_seed(0)
        losses = KnowledgeLosses(known, settings)
        [batch] = batches(known, settings, 1)
        names = backbone.embed_texts(backbone.tokens([known.concepts[place] for place in batch.concepts.tolist()]))
        found = losses(backbone, batch, backbone.embed_images(pictures[batch.images]), names)
        return float(found["e2e"].detach())

    images = {int(image) for image, stance, _ in knowledge.stances if stance == POSITIVE}
    kept = replace(knowledge, stances=knowledge.stances[np.isin(knowledge.stances[:, 0], sorted(images))])
    silent = replace(kept, stances=kept.stances[kept.stances[:, 1] != NEGATIVE])
    assert e2e(kept) == pytest.approx(e2e(silent), rel=1e-5)
    assert e2e(kept) != pytest.approx(e2e(kept.without_stance()), rel=1e-3)
    certain = replace(kept, stances=kept.stances[kept.stances[:, 1] != UNCERTAIN])
    assert e2e(kept) != pytest.approx(e2e(certain), rel=1e-5)


def test_the_graph_network_is_a_mean_over_neighbours_by_relation_and_direction() -> None:
    torch.manual_seed(0)
    network = GraphNetwork(2)
    torch.nn.init.normal_(network.gate)
    torch.nn.init.normal_(network.shift)
    entities = torch.randn(4, 512)
    edges = torch.tensor([[0, 0, 1], [2, 1, 1]])
    found, has = network(entities, edges)
    assert has.tolist() == [True, True, True, False]
    into_one = (entities[0] * network.gate[0] + network.shift[0] + entities[2] * network.gate[1] + network.shift[1]) / 2
    into_two = entities[1] * network.gate[3] + network.shift[3]  # the second relation, backwards
    for place, total in ((1, into_one), (2, into_two)):
        expected = torch.nn.functional.normalize(network.out(total), dim=0)
        assert torch.allclose(found[place], expected, atol=1e-5)


def test_an_epoch_has_each_image_once_with_all_its_stances() -> None:
    knowledge, _ = world.graph()
    seen: list[tuple[int, int, int]] = []
    for batch in batches(knowledge, PRETRAINING, 7):
        for image, stance, concept in batch.stances.tolist():
            seen.append((int(batch.images[image]), stance, int(batch.concepts[concept])))
        for head, relation, tail in batch.relations.tolist():
            known = [int(batch.concepts[head]), relation, int(batch.concepts[tail])]
            assert known in knowledge.relations.tolist()
    assert sorted(seen) == sorted(map(tuple, knowledge.stances.tolist()))


def test_of_the_nearest_prototypes_some_may_be_drawn_in_place_of_all() -> None:
    knowledge, pictures = world.graph()
    backbone = world.backbone()
    nearest = Alignment(knowledge, pictures, [[0]], replace(FASHION, concepts=1, prototypes=3, nearest=3))
    drawn = Alignment(knowledge, pictures, [[0]], replace(FASHION, concepts=1, prototypes=3, nearest=3, drawn=1))
    image = backbone.eval().embed_images(world.example_pairs(1, 1).images).detach()
    for alignment in (nearest, drawn):
        alignment.begin_epoch(backbone)
    rng = torch.Generator().manual_seed(0)
    every = {shown: weight for _, shown, weight in nearest._slots(torch.tensor([0]), image, rng)}
    assert sum(every.values()) == pytest.approx(1.0)
    found = [drawn._slots(torch.tensor([0]), image, rng) for _ in range(600)]
    assert all(len(slots) == 1 and slots[0][2] == 1.0 for slots in found)
    for shown, weight in every.items():
        share = sum(slots[0][1] == shown for slots in found) / len(found)
        assert share == pytest.approx(weight, abs=0.08)
