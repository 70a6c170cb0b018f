"""All methods: they answer any batch, with and without subgraphs, and every loss and every weight is trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

pytest.importorskip("torch_geometric")
from kgp_models.vqa.base import Base, Method, Sizes
from kgp_models.vqa.batch import FLAGS, IMAGE, PATH_FLAGS, PICTURED, SEED, Batch
from kgp_models.vqa.ekgrl import EKGRL
from kgp_models.vqa.k_pathvqa import KPathVQA
from kgp_models.vqa.krisp import KRISP
from kgp_models.vqa.mkbn import MKBN
from kgp_models.vqa.mr_mkg import MRMKG

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


def test_the_alignment_is_in_mr_mkgs_objective_and_never_draws_to_a_negative_neighbour() -> None:
    torch.manual_seed(3)
    model, given = METHODS["mr-mkg"](), batch()
    assert float(model.losses(given)["alignment"].detach()) > 0
    given.kinds[given.kinds == 0] = 2  # NEGATIVE
    assert float(model.losses(given)["alignment"].detach()) == 0
