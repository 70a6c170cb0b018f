"""EKGRL: an agent walks from the question's concepts over the graph, and the answer is read from its walk.

MedMKG describes it as graph representation with reinforcement learning (after Ren et al. 2023), and its code has
neither: a gate between two classifiers of image and question, by whether a concept is a head more often than a tail.
Followed here is MedMKG's text, by the walk of Das et al. (MINERVA, ICLR 2018):

- state: image, question, the node where the agent is, and the walk so far (a gated recurrent unit);
- action: one of the node's edges, forth or back, or to stay; a softmax over their kinds, ends and flags;
- reward: 1 where the answer read from this walk is right, less the mean over the question's walks (the baseline).

    L = L_answer + mean over walks of L_answer - λ Σ_t (R - R̄) log π(a_t) - η H(π)

In training several walks a question are drawn; in use they are the likeliest ones that begin with different edges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.vqa.base import Fused, Method, Sizes, answer_loss, mlp
from kgp_models.vqa.batch import FLAGS, SEED, QuestionBatch
from kgp_models.vqa.message_passing import Kinds, Nodes, RelationalAttention

STEPS, WALKS, MAX_ACTIONS = 3, 8, 24  # of a walk; of a question; actions of a node
REWARD, ENTROPY = 0.1, 0.01  # λ and η


class Walk(NamedTuple):
    """B · `WALKS` walks: what each is as a vector, and of training log π summed over steps, and H(π)."""

    vectors: Tensor  # (B · WALKS, graph)
    log_likelihood: Tensor  # (B · WALKS,)
    entropy: Tensor  # ()


class EKGRL(Method):
    """`kinds` are the vectors of the kinds' names, (K, Dt)."""

    def __init__(self, sizes: Sizes, kinds: Tensor) -> None:
        super().__init__()
        width = sizes.graph
        self.fused = Fused(sizes)
        self.kinds = Kinds(kinds, width)
        self.nodes = Nodes(sizes.image, sizes.text, width, sizes.graph_dropout)
        self.layer = RelationalAttention(width, dropout=sizes.graph_dropout)
        self.start = nn.Linear(sizes.hidden, width)
        self.step = nn.GRUCell(2 * width + FLAGS, width)
        self.wanted = mlp(sizes.hidden + 2 * width, width, width, 0.0)
        self.offered = nn.Linear(2 * width + FLAGS, width)
        self.out = mlp(sizes.hidden + width, sizes.hidden, 1, sizes.dropout)

    def walk(self, batch: QuestionBatch, fused: Tensor) -> Walk:
        """Walk over the subgraphs; a question without one stays where it began, and so knows nothing."""
        question_count, device = len(batch), fused.device
        kind_vectors = self.kinds()
        node_states = self.layer(self.nodes(batch), batch.ends, batch.kinds, kind_vectors)
        no_node = torch.zeros(1, node_states.shape[1], device=device)
        node_states = torch.cat([node_states, no_node])  # its last row: no node
        node_flags = torch.cat([batch.flags, torch.zeros(1, FLAGS, device=device)])
        action_table = actions(batch)
        edge_vectors = torch.cat([kind_vectors[batch.kinds], node_states[batch.ends[1]], node_flags[batch.ends[1]]], 1)
        stay_vector = torch.zeros(1, edge_vectors.shape[1], device=device)
        edge_vectors = torch.cat([edge_vectors, stay_vector])  # its last row: to stay
        edge_targets = torch.cat([batch.ends[1], batch.ends.new_zeros(1)])
        edge_keys = self.offered(edge_vectors)
        node_positions = starts(batch, WALKS)
        walk_inputs = fused.repeat_interleave(WALKS, 0)  # (B · WALKS, hidden)
        memory = torch.tanh(self.start(walk_inputs))
        log_likelihood, entropy = walk_inputs.new_zeros(len(node_positions)), walk_inputs.new_zeros(())
        for step in range(STEPS):
            walk_query = self.wanted(torch.cat([walk_inputs, memory, node_states[node_positions]], 1))  # (W, width)
            edge_options = action_table[node_positions]  # (W, 1 + MAX_ACTIONS): the last edge is to stay; -1: no edge
            action_scores = (edge_keys[edge_options] * walk_query.unsqueeze(1)).sum(2) / walk_query.shape[1] ** 0.5
            policy = action_scores.masked_fill(edge_options < 0, -1e9).log_softmax(1)
            chosen_actions = self._sampled_actions(policy, step, question_count)
            chosen_edges = edge_options.gather(1, chosen_actions.unsqueeze(1)).squeeze(1)
            log_likelihood = log_likelihood + policy.gather(1, chosen_actions.unsqueeze(1)).squeeze(1)
            entropy = entropy - (policy.exp() * policy.clamp(min=-50)).sum(1).mean() / STEPS
            is_staying = chosen_edges == len(batch.kinds)
            node_positions = torch.where(is_staying, node_positions, edge_targets[chosen_edges])
            step_input = torch.cat(
                [
                    edge_vectors[chosen_edges][:, : -FLAGS - node_states.shape[1]],
                    node_states[node_positions],
                    node_flags[node_positions],
                ],
                1,
            )
            memory = self.step(step_input, memory)
        return Walk(memory, log_likelihood, entropy)

    def _sampled_actions(self, policy: Tensor, step: int, question_count: int) -> Tensor:
        """Which actions the walks take: drawn in training; else the likeliest, and in the first step each walk of a
        question another one, where there are as many.
        """
        if self.training:
            return torch.multinomial(policy.exp(), 1).squeeze(1)
        if step:
            return policy.argmax(1)
        ranked_actions = policy.argsort(stable=True, dim=1, descending=True)
        walk_turn = torch.arange(WALKS, device=policy.device).repeat(question_count)
        action_counts = (policy > -1e8).sum(1)
        first_actions: Tensor = ranked_actions.gather(1, (walk_turn % action_counts).unsqueeze(1)).squeeze(1)
        return first_actions

    def _answers(self, fused: Tensor, walks: Walk) -> Tensor:
        """The logit of each walk, (B, WALKS)."""
        walk_inputs = fused.repeat_interleave(WALKS, 0)
        logits: Tensor = self.out(torch.cat([walk_inputs, walks.vectors], 1)).view(-1, WALKS)
        return logits

    def forward(self, batch: QuestionBatch) -> Tensor:
        """(B,): the mean over the walks."""
        fused = self.fused(batch)
        return self._answers(fused, self.walk(batch, fused)).mean(1)

    def losses(self, batch: QuestionBatch) -> dict[str, Tensor]:
        """The answer's, the walks' own, the reward's, and the entropy's."""
        fused = self.fused(batch)
        walks = self.walk(batch, fused)
        walk_logits = self._answers(fused, walks)
        correct_answers = batch.yes.unsqueeze(1).expand_as(walk_logits)
        reward = ((walk_logits > 0).to(correct_answers.dtype) == correct_answers).to(correct_answers.dtype).detach()
        advantage = reward - reward.mean(1, keepdim=True)
        return {
            "answer": answer_loss(walk_logits.mean(1), batch),
            "walks": functional.binary_cross_entropy_with_logits(walk_logits, correct_answers),
            "reward": -REWARD * (advantage * walks.log_likelihood.view_as(walk_logits)).mean(),
            "entropy": -ENTROPY * walks.entropy,
        }


def actions(batch: QuestionBatch) -> Tensor:
    """Of each node, and of no node in the last row, the edges that leave it, at most `MAX_ACTIONS`, then to stay,
    (N + 1, 1 + MAX_ACTIONS): positions among the edges, E to stay, -1 for none. A node with more edges has the most
    relevant ones, as their subgraph has them in order, whether they go forth or back.
    """
    node_count, edge_count = len(batch.question_index), len(batch.kinds)
    half_count = edge_count // 2  # all edges forwards, then the same backwards
    edge_rank = torch.arange(edge_count, device=batch.question_index.device) % max(1, half_count)
    edge_order = (batch.ends[0] * max(1, half_count) + edge_rank).argsort(stable=True)
    source_nodes = batch.ends[0][edge_order]
    edge_counts = (
        torch.bincount(source_nodes, minlength=node_count) if edge_count else source_nodes.new_zeros(node_count)
    )
    edge_turn = torch.arange(edge_count, device=source_nodes.device) - (
        edge_counts.cumsum(0) - edge_counts
    ).repeat_interleave(edge_counts)
    action_table = source_nodes.new_full((node_count + 1, 1 + MAX_ACTIONS), -1)
    action_table[:, MAX_ACTIONS] = edge_count
    retained = edge_turn < MAX_ACTIONS
    action_table[source_nodes[retained], edge_turn[retained]] = edge_order[retained]
    return action_table


def starts(batch: QuestionBatch, walks: int) -> Tensor:
    """Where the walks begin, (B · walks,): at the question's concepts in turn; at no node (N) where it names none."""
    question_count, node_count = len(batch), len(batch.question_index)
    named_nodes = (batch.flags[:, SEED] > 0).nonzero().squeeze(1)
    node_questions = batch.question_index[named_nodes]
    concept_counts = (
        torch.bincount(node_questions, minlength=question_count)
        if len(node_questions)
        else batch.question_index.new_zeros(question_count)
    )
    first_concepts = concept_counts.cumsum(0) - concept_counts
    walk_turn = torch.arange(walks, device=batch.question_index.device).unsqueeze(0)  # (1, walks)
    node_positions = first_concepts.unsqueeze(1) + walk_turn % concept_counts.clamp(min=1).unsqueeze(1)
    has_concept = (concept_counts > 0).unsqueeze(1).expand_as(node_positions)
    padded_nodes = torch.cat([named_nodes, named_nodes.new_full((1,), node_count)])
    return padded_nodes[torch.where(has_concept, node_positions, len(named_nodes))].flatten()
