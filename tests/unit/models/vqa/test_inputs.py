"""What frozen towers make of questions, images and the graph, once; and batches of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("torch_geometric")
from kgp_models.towers.feature_cache import load_or_compute
from kgp_models.vqa import build
from kgp_models.vqa.batch import HAS_EVIDENCE, IMAGE, LIKELIHOOD, PICTURED, SEED
from kgp_models.vqa.evidence import MIN_IMAGES, RIDGE, ImageEvidence
from kgp_models.vqa.inputs import PathTexts
from kgp_models.vqa.settings import VQASettings
from kgp_models.vqa.tower_features import encode_images, encode_text_vectors, encode_texts
from kgplatform.datasets.knowledge import GraphImage, Knowledge
from kgplatform.errors import InputError
from kgplatform.vqa.subgraph import EMPTY, Neighbourhoods
from tests.unit.models.retrieval import retrieval_world
from tests.unit.models.vqa import vqa_world as world

pytestmark = pytest.mark.slow  # heavy libraries


class TestFeatureCache:
    """What towers make is made once."""

    def test_it_is_made_once_for_a_backbone_and_what_it_is_given(self, tmp_path: Path) -> None:
        calls: list[str] = []

        def make(call_name: str) -> dict[str, Tensor]:
            calls.append(call_name)
            return {"value": torch.full((2,), float(len(calls)))}

        first_backbone, second_backbone = (
            world.tiny_frozen_backbone(),
            retrieval_world.tiny_retrieval_backbone(seed=4, frozen=True),
        )
        for backbone, cache_inputs in (
            (first_backbone, ["a"]),
            (first_backbone, ["a"]),
            (first_backbone, ["b"]),
            (second_backbone, ["a"]),
            (first_backbone, ["b"]),
        ):
            load_or_compute(tmp_path, backbone, cache_inputs, lambda: make("x"))
        assert len(calls) == 3
        assert load_or_compute(tmp_path, first_backbone, ["a"], lambda: make("x"))["value"].tolist() == [1, 1]

    def test_a_backbone_whose_heads_are_new_each_time_it_is_opened_is_the_same(self, tmp_path: Path) -> None:
        for seed in (1, 2):
            backbone = world.tiny_frozen_backbone()
            torch.manual_seed(seed)
            weight = backbone.image_head.weight
            assert isinstance(weight, torch.Tensor)
            torch.nn.init.normal_(weight)
            load_or_compute(tmp_path, backbone, ["a"], lambda: {"value": torch.ones(2)})
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_damaged_file_is_made_again(self, tmp_path: Path) -> None:
        backbone = world.tiny_frozen_backbone()
        load_or_compute(tmp_path, backbone, ["a"], lambda: {"value": torch.ones(2)})
        [cache_path] = tmp_path.iterdir()
        cache_path.write_bytes(cache_path.read_bytes()[:-3])
        assert load_or_compute(tmp_path, backbone, ["a"], lambda: {"value": torch.zeros(2)})["value"].tolist() == [0, 0]
        assert load_or_compute(tmp_path, backbone, ["a"], dict)["value"].tolist() == [0, 0]

    def test_two_trainings_that_begin_together(self, tmp_path: Path) -> None:
        backbone = world.tiny_frozen_backbone()
        with ThreadPoolExecutor(8) as pool:
            results = list(
                pool.map(
                    lambda _: load_or_compute(tmp_path, backbone, ["a"], lambda: {"v": torch.ones(999)}), range(24)
                )
            )
        assert all(result["v"].sum() == 999 for result in results)
        assert len(list(tmp_path.iterdir())) == 1

    def test_images_that_change_are_read_again(self, tmp_path: Path) -> None:
        world.write_pictures(tmp_path / "p", 3, 1)
        image_paths = {f"{number}": tmp_path / "p" / f"{number}.png" for number in range(3)}
        backbone = world.tiny_frozen_backbone()
        original = encode_images(backbone, image_paths, tmp_path / "cache")
        (tmp_path / "p" / "1.png").write_bytes((tmp_path / "p" / "0.png").read_bytes())
        reread = encode_images(backbone, image_paths, tmp_path / "cache")
        assert not torch.equal(original.vectors[1], original.vectors[0])
        assert torch.equal(reread.vectors[1], reread.vectors[0])

    def test_a_damaged_image_is_told_and_left_out(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        world.write_pictures(tmp_path / "p", 3, 1)
        (tmp_path / "p" / "1.png").write_bytes(b"no image")
        image_features = encode_images(
            world.tiny_frozen_backbone(), {f"{number}": tmp_path / "p" / f"{number}.png" for number in range(3)}
        )
        assert dict(image_features.row_by_name) == {"0": 0, "2": 1}
        assert len(image_features.vectors) == len(image_features.regions) == 2
        assert len(caplog.messages) == 1
        with pytest.raises(InputError):
            encode_images(world.tiny_frozen_backbone(), {"1": tmp_path / "p" / "1.png"})


def test_words_are_padded_and_vectors_are_those_of_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # both in float32 on every processor
    backbone, texts = world.tiny_frozen_backbone(), ["effusion", "is there a nodule or an effusion here", "edema?"] * 40
    text_features = encode_texts(backbone, texts)
    assert text_features.words.shape[:2] == text_features.mask.shape
    assert text_features.mask.sum(1).min() < text_features.mask.shape[1]
    torch.testing.assert_close(encode_text_vectors(backbone, texts), text_features.vectors, atol=1e-5, rtol=1e-4)
    weight = torch.nn.Parameter(torch.ones(text_features.vectors.shape[1]))
    torch.autograd.backward((encode_text_vectors(backbone, texts[:2]) * weight).sum())  # it can be learnt from


class TestEvidence:
    """How likely an image shows a concept, by the graph's images."""

    def knowledge(self, stances: list[tuple[int, int, int]], images: int, concepts: int = 3) -> Knowledge:
        no_relations = np.empty((0, 3), dtype=np.int64)
        concept_names = [f"C{number:07d}" for number in range(concepts)]
        stance_rows = np.array(stances, dtype=np.int64).reshape(-1, 3)
        return Knowledge(
            [GraphImage(f"I{number}") for number in range(images)],
            concept_names,
            concept_names,
            [],
            stance_rows,
            no_relations,
        )

    def test_it_is_ridge_regression(self) -> None:
        generator = np.random.default_rng(1)
        stances = [
            (image_number, int(generator.integers(3)), concept_number)
            for image_number in range(40)
            for concept_number in range(2)
            if generator.random() < 0.7
        ]
        vectors = generator.normal(size=(40, 5)) * [1, 2, 3, 4, 5]
        evidence = ImageEvidence.learn(
            self.knowledge(stances, 40), torch.from_numpy(vectors).float(), torch.ones(40, dtype=torch.bool)
        )
        for concept in range(2):
            targets = np.zeros(40)
            for image, stance, stance_concept in stances:
                if stance_concept == concept:
                    targets[image] = {0: 1.0, 1: 0.5, 2: 0.0}[stance]
            scaled_vectors = (vectors - vectors.mean(0)) / vectors.std(0, ddof=1)
            penalty = np.sqrt(RIDGE * 40**0.5) * np.eye(5)  # ridge as least squares with rows of its own
            weights = np.linalg.lstsq(
                np.vstack([scaled_vectors, penalty]),
                np.concatenate([targets - targets.mean(), np.zeros(5)]),
                rcond=None,
            )[0]
            np.testing.assert_allclose(
                evidence.lift(torch.from_numpy(vectors).float())[:, concept],
                np.clip(scaled_vectors @ weights / (scaled_vectors @ weights).std(ddof=1), -3, 3),
                atol=1e-3,
            )
            np.testing.assert_allclose(
                evidence(torch.from_numpy(vectors).float())[:, concept],
                np.clip(scaled_vectors @ weights + targets.mean(), 0, 1),
                atol=1e-4,
            )

    def test_a_negative_image_counts_against_a_concept_and_few_images_tell_nothing(self) -> None:
        vectors = torch.cat([torch.ones(20, 1), -torch.ones(20, 1)])
        stances = [(image_number, 0 if image_number < 20 else 2, 0) for image_number in range(40)] + [
            (image_number, 0, 1) for image_number in range(MIN_IMAGES - 1)
        ]
        evidence = ImageEvidence.learn(self.knowledge(stances, 40), vectors, torch.ones(40, dtype=torch.bool))
        assert evidence.informative.tolist() == [True, False, False]
        likelihoods = evidence(torch.tensor([[1.0], [-1.0]]))
        assert likelihoods[0, 0] > 0.6 > 0.4 > likelihoods[1, 0]
        assert likelihoods[:, 1:].abs().sum() == 0

    def test_without_pictures_it_says_nothing(self) -> None:
        evidence = ImageEvidence.learn(
            self.knowledge([(0, 0, 0)], 1), torch.ones(1, 4), torch.zeros(1, dtype=torch.bool)
        )
        assert not evidence.informative.any()
        assert evidence(torch.randn(3, 4)).abs().sum() == 0


class TestPaths:
    """Paths as sentences."""

    def test_edges_and_paths_of_two_edges_between_what_the_question_names(self, tmp_path: Path) -> None:
        graph = world.remedy_knowledge(tmp_path)
        neighbourhoods = Neighbourhoods(graph, images=False)
        zorevane, effusion = graph.cuis.index(world.CUIS[4]), 0
        direct = neighbourhoods.subgraph([zorevane, effusion])
        path_texts = PathTexts(world.tiny_frozen_backbone(), graph, [direct, EMPTY])
        paths_by_text = {path.text: path for path in path_texts.paths(direct)}
        assert paths_by_text["zorevane may treat effusion"][1:] == (1.0, ())  # both are named by the question
        assert paths_by_text["zorevane may treat pneumothorax"][1:] == (0.5, (1,))
        indirect = neighbourhoods.subgraph(
            [zorevane, graph.cuis.index(world.CUIS[8])]
        )  # ralumab treats pneumothorax, too
        long_paths = [path for path in path_texts.paths(indirect) if "; " in path.text]
        assert long_paths == [("zorevane may treat pneumothorax; ralumab may treat pneumothorax", 1.0, (1,))]
        assert path_texts.rows_and_paths(EMPTY) == ((), ())


def test_a_batch_tells_of_each_node_what_it_is(tmp_path: Path) -> None:
    inputs = world.tiny_vqa_inputs(tmp_path)
    features = build.encode_questions(world.tiny_frozen_backbone(), inputs.questions.questions, inputs)
    examples = build.prepared(VQASettings(method="k-pathvqa"), inputs, features, 1).parts["train"]
    examples.subgraphs[1] = EMPTY
    with pytest.raises(KeyError):  # its paths are not known: a subgraph is not changed afterwards
        examples.batch([1])
    examples.paths = None
    batch = examples.batch([0, 1, 2])
    assert len(batch) == 3
    assert 1 not in batch.question_index.tolist()
    nodes = examples.subgraphs[0].nodes.tolist() + examples.subgraphs[2].nodes.tolist()
    assert batch.graph_rows.tolist() == nodes
    for node_row, node in enumerate(nodes):
        is_image = node >= len(world.CUIS)
        assert bool(batch.flags[node_row, IMAGE]) == is_image
        assert bool(batch.flags[node_row, PICTURED]) == is_image
        assert bool(batch.names[node_row].any()) != is_image
        assert bool(batch.pictures[node_row].any()) == is_image
        if not is_image:
            question = 0 if batch.question_index[node_row] == 0 else 2
            is_shown = examples.graph.likelihoods[examples.image_rows[question], node]
            assert batch.flags[node_row, LIKELIHOOD] == is_shown
            assert bool(batch.flags[node_row, HAS_EVIDENCE]) == bool(examples.graph.evidence.informative[node])
    first_subgraph = examples.subgraphs[0]
    assert batch.flags[: len(first_subgraph.nodes), SEED].tolist() == [1.0] * first_subgraph.seeds + [0.0] * (
        len(first_subgraph.nodes) - first_subgraph.seeds
    )
    edges = first_subgraph.edges
    edge_count, kinds = len(batch.kinds) // 2, len(examples.graph.kinds)
    assert batch.ends[:, : len(edges)].tolist() == [edges[:, 0].tolist(), edges[:, 2].tolist()]
    assert (batch.kinds[edge_count:] - batch.kinds[:edge_count]).tolist() == [kinds] * edge_count  # and back
