"""All methods: they answer any batch, with and without subgraphs, and every loss and every weight is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

pytest.importorskip("torch_geometric")
from kgp_models.vqa.base import Base, Method, Sizes
from kgp_models.vqa.batch import FLAGS, IMAGE, PATH_FLAGS, PICTURED, SEED, Batch, joined
from kgp_models.vqa.ekgrl import EKGRL, MOST, actions
from kgp_models.vqa.k_pathvqa import KPathVQA
from kgp_models.vqa.krisp import KRISP
from kgp_models.vqa.mkbn import MKBN
from kgp_models.vqa.mr_mkg import MRMKG
from kgplatform.vqa.subgraph import Subgraph

pytestmark = pytest.mark.slow  # heavy libraries

SIZES = Sizes(image=6, region=5, text=7, hidden=16, graph=8, dropout=0.0)
KINDS = 4
NONE = torch.empty(0, 2, dtype=torch.int64)
METHODS: dict[str, Callable[[], Method]] = {
    "base": lambda: Base(SIZES),
    "krisp": lambda: KRISP(SIZES, 2 * KINDS),
    "mkbn": lambda: MKBN(SIZES, torch.randn(KINDS, 7)),
    "k-pathvqa": lambda: KPathVQA(SIZES),
    "ekgrl": lambda: EKGRL(SIZES, torch.randn(KINDS, 7)),
    "mr-mkg": lambda: MRMKG(SIZES, torch.randn(KINDS, 7), NONE),
}


def batch(*, graph: bool = True) -> Batch:
    """Three questions, the last without a subgraph: two concepts and a POSITIVE image each for the others."""
    nodes = 6 if graph else 0
    flags = torch.rand(nodes, FLAGS)
    flags[:, SEED] = torch.tensor([1.0, 0, 0, 1, 0, 0])[:nodes]
    flags[:, IMAGE] = flags[:, PICTURED] = torch.tensor([0.0, 0, 1, 0, 0, 1])[:nodes]
    ends = torch.tensor([[0, 2, 3, 5, 1, 0, 4, 3], [1, 0, 4, 3, 0, 2, 3, 5]]) if graph else NONE.T
    kinds = torch.tensor([3, 0, 3, 0, 7, 4, 7, 4]) if graph else NONE[:, 0]
    return Batch(
        torch.randn(3, 6), torch.randn(3, 4, 5), torch.randn(3, 7), torch.randn(3, 5, 7),
        torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4]), torch.randn(nodes, 7),
        torch.randn(nodes, 6), flags, torch.arange(nodes), torch.tensor([0, 0, 0, 1, 1, 1])[:nodes], ends, kinds,
        torch.randn(3, 2, 7), torch.rand(3, 2, PATH_FLAGS),
        torch.tensor([[True, graph], [graph, False], [False, False]]), torch.tensor([1.0, 0.0, 1.0]),
    )  # fmt: skip


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("graph", [True, False])
def test_it_answers_with_and_without_a_subgraph(name: str, graph: bool) -> None:
    torch.manual_seed(1)
    model, given = METHODS[name]().eval(), batch(graph=graph)
    out = model(given)
    assert out.shape == (3,)
    assert out.isfinite().all()
    assert torch.equal(model(given), out)  # in use nothing is drawn
    assert all(loss.isfinite() for loss in model.train().losses(given).values())


@pytest.mark.parametrize("name", list(METHODS))
def test_every_weight_is_trained(name: str) -> None:
    torch.manual_seed(2)
    model, given = METHODS[name](), batch()
    losses = model.losses(given)
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    assert not [key for key, weight in model.named_parameters() if weight.grad is None]


def test_without_a_subgraph_krisp_answers_by_its_implicit_part_alone() -> None:
    torch.manual_seed(4)
    model, given = KRISP(SIZES, 2 * KINDS).eval(), batch()
    implicit, symbolic, known = model.parts(given)
    assert known.tolist() == [True, True, False]
    best = torch.maximum(implicit, symbolic)
    wanted = [best[0], best[1], implicit[2]]
    torch.testing.assert_close(model(given), torch.stack([row[1] - row[0] for row in wanted]))
    with torch.no_grad():
        model.implicit.bias -= 5.0  # both logits far below 0: still the larger of them counts
    implicit, _, _ = model.parts(given)
    torch.testing.assert_close(model(given)[2], implicit[2, 1] - implicit[2, 0])
    torch.testing.assert_close(
        model.losses(given)["symbolic"], functional.cross_entropy(symbolic[:2], given.yes[:2].long())
    )


def test_an_agent_at_a_hub_may_go_by_the_most_relevant_edges_forth_and_back() -> None:
    edges = MOST + 6  # of one node in the order of relevance: image by image back, then concept by concept forth
    rows = [(n, 0, 0) if n % 2 else (0, 1, n) for n in range(1, edges + 1)]
    one = Subgraph(np.arange(edges + 1), np.array(rows), 1)
    graph = joined([one], 2)
    given = replace(batch(), of=graph.of, ends=graph.ends, kinds=graph.kinds)
    table = actions(given)
    assert table.shape == (edges + 2, MOST + 1)
    taken = table[0, :MOST]
    assert (graph.ends[0][taken] == 0).all()
    assert graph.ends[1][taken].tolist() == list(range(1, MOST + 1))
    assert (table[:, MOST] == 2 * edges).all()  # to stay


def test_the_alignment_is_in_mr_mkgs_objective_and_never_draws_to_a_negative_neighbour() -> None:
    torch.manual_seed(3)
    model, given = METHODS["mr-mkg"](), batch()
    assert float(model.losses(given)["alignment"].detach()) > 0
    given.kinds[given.kinds == 0] = 2  # NEGATIVE
    assert float(model.losses(given)["alignment"].detach()) == 0
