"""What frozen towers make of questions, images and the graph, once; and batches of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("torch_geometric")
from kgp_models.vqa import build
from kgp_models.vqa.batch import IMAGE, PICTURED, SEED, SEEN, TOLD
from kgp_models.vqa.inputs import FEWEST, RIDGE, Evidence, PathTexts, images_of, texts_of, vectors_of
from kgp_models.vqa.kept import kept
from kgp_models.vqa.settings import VQASettings
from kgplatform.errors import InputError
from kgplatform.retrieval.knowledge import GraphImage, Knowledge
from kgplatform.vqa.subgraph import EMPTY, Neighbourhoods
from tests.unit import retrieval_world
from tests.unit import vqa_world as world

pytestmark = pytest.mark.slow  # heavy libraries


class TestKept:
    """What towers make is made once."""

    def test_it_is_made_once_for_a_backbone_and_what_it_is_given(self, tmp_path: Path) -> None:
        made: list[str] = []

        def make(name: str) -> dict[str, Tensor]:
            made.append(name)
            return {"value": torch.full((2,), float(len(made)))}

        one, other = world.backbone(), retrieval_world.backbone(seed=4, frozen=True)
        for backbone, given in ((one, ["a"]), (one, ["a"]), (one, ["b"]), (other, ["a"]), (one, ["b"])):
            kept(tmp_path, backbone, given, lambda: make("x"))
        assert len(made) == 3
        assert kept(tmp_path, one, ["a"], lambda: make("x"))["value"].tolist() == [1, 1]

    def test_a_backbone_whose_heads_are_new_each_time_it_is_opened_is_the_same(self, tmp_path: Path) -> None:
        for seed in (1, 2):
            backbone = world.backbone()
            torch.manual_seed(seed)
            torch.nn.init.normal_(backbone.image_head.weight)
            kept(tmp_path, backbone, ["a"], lambda: {"value": torch.ones(2)})
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_damaged_file_is_made_again(self, tmp_path: Path) -> None:
        backbone = world.backbone()
        kept(tmp_path, backbone, ["a"], lambda: {"value": torch.ones(2)})
        [path] = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:-3])
        assert kept(tmp_path, backbone, ["a"], lambda: {"value": torch.zeros(2)})["value"].tolist() == [0, 0]
        assert kept(tmp_path, backbone, ["a"], dict)["value"].tolist() == [0, 0]

    def test_two_trainings_that_begin_together(self, tmp_path: Path) -> None:
        backbone = world.backbone()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: kept(tmp_path, backbone, ["a"], lambda: {"v": torch.ones(999)}), range(24)))
        assert all(one["v"].sum() == 999 for one in found)
        assert len(list(tmp_path.iterdir())) == 1

    def test_images_that_change_are_read_again(self, tmp_path: Path) -> None:
        world.drawn(tmp_path / "p", 3, 1)
        paths = {f"{n}": tmp_path / "p" / f"{n}.png" for n in range(3)}
        backbone = world.backbone()
        before = images_of(backbone, paths, tmp_path / "cache")
        (tmp_path / "p" / "1.png").write_bytes((tmp_path / "p" / "0.png").read_bytes())
        after = images_of(backbone, paths, tmp_path / "cache")
        assert not torch.equal(before.vectors[1], before.vectors[0])
        assert torch.equal(after.vectors[1], after.vectors[0])

    def test_a_damaged_image_is_told_and_left_out(self, tmp_path: Path) -> None:
        world.drawn(tmp_path / "p", 3, 1)
        (tmp_path / "p" / "1.png").write_bytes(b"no image")
        told: list[str] = []
        found = images_of(world.backbone(), {f"{n}": tmp_path / "p" / f"{n}.png" for n in range(3)}, None, told.append)
        assert dict(found.known) == {"0": 0, "2": 1}
        assert len(found.vectors) == len(found.regions) == 2
        assert len(told) == 1
        with pytest.raises(InputError):
            images_of(world.backbone(), {"1": tmp_path / "p" / "1.png"})


def test_words_are_padded_and_vectors_are_those_of_the_texts() -> None:
    backbone, texts = world.backbone(), ["effusion", "is there a nodule or an effusion here", "edema?"] * 40
    found = texts_of(backbone, texts)
    assert found.words.shape[:2] == found.mask.shape
    assert found.mask.sum(1).min() < found.mask.shape[1]
    torch.testing.assert_close(vectors_of(backbone, texts), found.vectors, atol=1e-5, rtol=1e-4)
    weight = torch.nn.Parameter(torch.ones(found.vectors.shape[1]))
    torch.autograd.backward((vectors_of(backbone, texts[:2]) * weight).sum())  # it can be learnt from


class TestEvidence:
    """How likely an image shows a concept, by the graph's images."""

    def knowledge(self, stances: list[tuple[int, int, int]], images: int, concepts: int = 3) -> Knowledge:
        none = np.empty((0, 3), dtype=np.int64)
        named = [f"C{n:07d}" for n in range(concepts)]
        rows = np.array(stances, dtype=np.int64).reshape(-1, 3)
        return Knowledge([GraphImage(f"I{n}") for n in range(images)], named, named, [], rows, none)

    def test_it_is_ridge_regression(self) -> None:
        rng = np.random.default_rng(1)
        stances = [(i, int(rng.integers(3)), c) for i in range(40) for c in range(2) if rng.random() < 0.7]
        x = rng.normal(size=(40, 5)) * [1, 2, 3, 4, 5]
        found = Evidence.of(self.knowledge(stances, 40), torch.from_numpy(x).float(), torch.ones(40, dtype=torch.bool))
        for concept in range(2):
            wanted = np.zeros(40)
            for image, stance, of in stances:
                if of == concept:
                    wanted[image] = {0: 1.0, 1: 0.5, 2: 0.0}[stance]
            z = (x - x.mean(0)) / x.std(0, ddof=1)
            penalty = np.sqrt(RIDGE * 40**0.5) * np.eye(5)  # ridge as least squares with rows of its own
            weights = np.linalg.lstsq(
                np.vstack([z, penalty]), np.concatenate([wanted - wanted.mean(), np.zeros(5)]), rcond=None
            )[0]
            np.testing.assert_allclose(
                found.lift(torch.from_numpy(x).float())[:, concept],
                np.clip(z @ weights / (z @ weights).std(ddof=1), -3, 3),
                atol=1e-3,
            )
            np.testing.assert_allclose(
                found(torch.from_numpy(x).float())[:, concept], np.clip(z @ weights + wanted.mean(), 0, 1), atol=1e-4
            )

    def test_a_negative_image_counts_against_a_concept_and_few_images_tell_nothing(self) -> None:
        x = torch.cat([torch.ones(20, 1), -torch.ones(20, 1)])
        stances = [(i, 0 if i < 20 else 2, 0) for i in range(40)] + [(i, 0, 1) for i in range(FEWEST - 1)]
        found = Evidence.of(self.knowledge(stances, 40), x, torch.ones(40, dtype=torch.bool))
        assert found.told.tolist() == [True, False, False]
        likely = found(torch.tensor([[1.0], [-1.0]]))
        assert likely[0, 0] > 0.6 > 0.4 > likely[1, 0]
        assert likely[:, 1:].abs().sum() == 0

    def test_without_pictures_it_says_nothing(self) -> None:
        found = Evidence.of(self.knowledge([(0, 0, 0)], 1), torch.ones(1, 4), torch.zeros(1, dtype=torch.bool))
        assert not found.told.any()
        assert found(torch.randn(3, 4)).abs().sum() == 0


class TestPaths:
    """Paths as sentences."""

    def test_edges_and_paths_of_two_edges_between_what_the_question_names(self, tmp_path: Path) -> None:
        known = world.knowledge(tmp_path)
        around = Neighbourhoods(known, images=False)
        zorevane, effusion = known.cuis.index(world.CUIS[4]), 0
        direct = around.of([zorevane, effusion])
        paths = PathTexts(world.backbone(), known, [direct, EMPTY])
        said = {path.text: path for path in paths.paths(direct)}
        assert said["zorevane may treat effusion"][1:] == (1.0, ())  # both are named by the question
        assert said["zorevane may treat pneumothorax"][1:] == (0.5, (1,))
        by_way = around.of([zorevane, known.cuis.index(world.CUIS[8])])  # ralumab treats pneumothorax, too
        two = [path for path in paths.paths(by_way) if "; " in path.text]
        assert two == [("zorevane may treat pneumothorax; ralumab may treat pneumothorax", 1.0, (1,))]
        assert paths.of(EMPTY) == ((), ())


def test_a_batch_tells_of_each_node_what_it_is(tmp_path: Path) -> None:
    inputs = world.inputs(tmp_path)
    known = build.seen(world.backbone(), inputs.questions.questions, inputs)
    examples = build.prepared(VQASettings(method="k-pathvqa"), inputs, known, 1).parts["train"]
    examples.subgraphs[1] = EMPTY
    with pytest.raises(KeyError):  # its paths are not known: a subgraph is not changed afterwards
        examples.batch([1])
    examples.paths = None
    batch = examples.batch([0, 1, 2])
    assert len(batch) == 3
    assert 1 not in batch.of.tolist()
    nodes = examples.subgraphs[0].nodes.tolist() + examples.subgraphs[2].nodes.tolist()
    assert batch.places.tolist() == nodes
    for row, node in enumerate(nodes):
        is_image = node >= len(world.CUIS)
        assert bool(batch.flags[row, IMAGE]) == is_image
        assert bool(batch.flags[row, PICTURED]) == is_image
        assert bool(batch.names[row].any()) != is_image
        assert bool(batch.pictures[row].any()) == is_image
        if not is_image:
            question = 0 if batch.of[row] == 0 else 2
            shown = examples.graph.shown[examples.image_rows[question], node]
            assert batch.flags[row, SEEN] == shown
            assert bool(batch.flags[row, TOLD]) == bool(examples.graph.evidence.told[node])
    first = examples.subgraphs[0]
    assert batch.flags[: len(first.nodes), SEED].tolist() == [1.0] * first.seeds + [0.0] * (
        len(first.nodes) - first.seeds
    )
    edges = first.edges
    count, kinds = len(batch.kinds) // 2, len(examples.graph.kinds)
    assert batch.ends[:, : len(edges)].tolist() == [edges[:, 0].tolist(), edges[:, 2].tolist()]
    assert (batch.kinds[count:] - batch.kinds[:count]).tolist() == [kinds] * count  # and back
