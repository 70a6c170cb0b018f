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
from kgp_models.vqa.batch import FLAGS, IMAGE, PATH_FLAGS, PICTURED, SEED, QuestionBatch, join_subgraphs
from kgp_models.vqa.ekgrl import EKGRL, MAX_ACTIONS, actions
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


def _question_batch(*, graph: bool = True) -> QuestionBatch:
    """Three questions, the last without a subgraph: two concepts and a POSITIVE image each for the others."""
    node_count = 6 if graph else 0
    flags = torch.rand(node_count, FLAGS)
    flags[:, SEED] = torch.tensor([1.0, 0, 0, 1, 0, 0])[:node_count]
    flags[:, IMAGE] = flags[:, PICTURED] = torch.tensor([0.0, 0, 1, 0, 0, 1])[:node_count]
    edge_ends = torch.tensor([[0, 2, 3, 5, 1, 0, 4, 3], [1, 0, 4, 3, 0, 2, 3, 5]]) if graph else NONE.T
    edge_kinds = torch.tensor([3, 0, 3, 0, 7, 4, 7, 4]) if graph else NONE[:, 0]
    return QuestionBatch(
        torch.randn(3, 6), torch.randn(3, 4, 5), torch.randn(3, 7), torch.randn(3, 5, 7),
        torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4]), torch.randn(node_count, 7),
        torch.randn(node_count, 6), flags, torch.arange(node_count),
        torch.tensor([0, 0, 0, 1, 1, 1])[:node_count], edge_ends, edge_kinds,
        torch.randn(3, 2, 7), torch.rand(3, 2, PATH_FLAGS),
        torch.tensor([[True, graph], [graph, False], [False, False]]), torch.tensor([1.0, 0.0, 1.0]),
    )  # fmt: skip


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("graph", [True, False])
def test_it_answers_with_and_without_a_subgraph(name: str, graph: bool) -> None:
    torch.manual_seed(1)
    model, questions = METHODS[name]().eval(), _question_batch(graph=graph)
    answers = model(questions)
    assert answers.shape == (3,)
    assert answers.isfinite().all()
    assert torch.equal(model(questions), answers)  # in use nothing is drawn
    assert all(loss.isfinite() for loss in model.train().losses(questions).values())


@pytest.mark.parametrize("name", list(METHODS))
def test_every_weight_is_trained(name: str) -> None:
    torch.manual_seed(2)
    model, questions = METHODS[name](), _question_batch()
    losses = model.losses(questions)
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    assert not [weight_name for weight_name, weight in model.named_parameters() if weight.grad is None]


def test_without_a_subgraph_krisp_answers_by_its_implicit_part_alone() -> None:
    torch.manual_seed(4)
    model, questions = KRISP(SIZES, 2 * KINDS).eval(), _question_batch()
    implicit, symbolic, has_subgraph = model.parts(questions)
    assert has_subgraph.tolist() == [True, True, False]
    larger_logits = torch.maximum(implicit, symbolic)
    expected = [larger_logits[0], larger_logits[1], implicit[2]]
    torch.testing.assert_close(
        model(questions), torch.stack([answer_logits[1] - answer_logits[0] for answer_logits in expected])
    )
    with torch.no_grad():
        model.implicit.bias.sub_(5.0)  # both logits far below 0: still the larger of them counts
    implicit, _, _ = model.parts(questions)
    torch.testing.assert_close(model(questions)[2], implicit[2, 1] - implicit[2, 0])
    torch.testing.assert_close(
        model.losses(questions)["symbolic"], functional.cross_entropy(symbolic[:2], questions.yes[:2].long())
    )


def test_an_agent_at_a_hub_may_go_by_the_most_relevant_edges_forth_and_back() -> None:
    edge_count = (
        MAX_ACTIONS + 6
    )  # of one node in the order of relevance: image by image back, then concept by concept forth
    edge_rows = [(number, 0, 0) if number % 2 else (0, 1, number) for number in range(1, edge_count + 1)]
    hub_subgraph = Subgraph(np.arange(edge_count + 1), np.array(edge_rows), 1)
    graph = join_subgraphs([hub_subgraph], 2)
    questions = replace(_question_batch(), question_index=graph.question_index, ends=graph.ends, kinds=graph.kinds)
    action_table = actions(questions)
    assert action_table.shape == (edge_count + 2, MAX_ACTIONS + 1)
    offered_edges = action_table[0, :MAX_ACTIONS]
    assert (graph.ends[0][offered_edges] == 0).all()
    assert graph.ends[1][offered_edges].tolist() == list(range(1, MAX_ACTIONS + 1))
    assert (action_table[:, MAX_ACTIONS] == 2 * edge_count).all()  # to stay


def test_the_alignment_is_in_mr_mkgs_objective_and_never_draws_to_a_negative_neighbour() -> None:
    torch.manual_seed(3)
    model, questions = METHODS["mr-mkg"](), _question_batch()
    assert float(model.losses(questions)["alignment"].detach()) > 0
    questions.kinds[questions.kinds == 0] = 2  # NEGATIVE
    assert float(model.losses(questions)["alignment"].detach()) == 0
