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
from kgp_models.vqa.batch import FLAGS, SEED, Batch
from kgp_models.vqa.message_passing import Kinds, Nodes, RelationalAttention

STEPS, WALKS, MOST = 3, 8, 24  # of a walk; of a question; actions of a node
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

    def walk(self, batch: Batch, fused: Tensor) -> Walk:
        """Walk over the subgraphs; a question without one stays where it began, and so knows nothing."""
        count, device = len(batch), fused.device
        kinds = self.kinds()
        states = self.layer(self.nodes(batch), batch.ends, batch.kinds, kinds)
        nowhere = torch.zeros(1, states.shape[1], device=device)
        states = torch.cat([states, nowhere])  # its last row: no node
        flags = torch.cat([batch.flags, torch.zeros(1, FLAGS, device=device)])
        table = actions(batch)
        offered = torch.cat([kinds[batch.kinds], states[batch.ends[1]], flags[batch.ends[1]]], 1)
        stay = torch.zeros(1, offered.shape[1], device=device)
        offered = torch.cat([offered, stay])  # its last row: to stay
        goals = torch.cat([batch.ends[1], batch.ends.new_zeros(1)])
        keys = self.offered(offered)
        place = starts(batch, WALKS)
        asked = fused.repeat_interleave(WALKS, 0)  # (B · WALKS, hidden)
        memory = torch.tanh(self.start(asked))
        log_likelihood, entropy = asked.new_zeros(len(place)), asked.new_zeros(())
        for step in range(STEPS):
            query = self.wanted(torch.cat([asked, memory, states[place]], 1))  # (W, width)
            edges = table[place]  # (W, 1 + MOST): the last edge is to stay, -1 is none
            scores = (keys[edges] * query.unsqueeze(1)).sum(2) / query.shape[1] ** 0.5
            policy = scores.masked_fill(edges < 0, -1e9).log_softmax(1)
            taken = self._taken(policy, step, count)
            edge = edges.gather(1, taken.unsqueeze(1)).squeeze(1)
            log_likelihood = log_likelihood + policy.gather(1, taken.unsqueeze(1)).squeeze(1)
            entropy = entropy - (policy.exp() * policy.clamp(min=-50)).sum(1).mean() / STEPS
            stays = edge == len(batch.kinds)
            place = torch.where(stays, place, goals[edge])
            given = torch.cat([offered[edge][:, : -FLAGS - states.shape[1]], states[place], flags[place]], 1)
            memory = self.step(given, memory)
        return Walk(memory, log_likelihood, entropy)

    def _taken(self, policy: Tensor, step: int, count: int) -> Tensor:
        """Which actions the walks take: drawn in training; else the likeliest, and in the first step each walk of a
        question another one, where there are as many.
        """
        if self.training:
            return torch.multinomial(policy.exp(), 1).squeeze(1)
        if step:
            return policy.argmax(1)
        ranked = policy.argsort(stable=True, dim=1, descending=True)
        turn = torch.arange(WALKS, device=policy.device).repeat(count)
        many = (policy > -1e8).sum(1)
        first: Tensor = ranked.gather(1, (turn % many).unsqueeze(1)).squeeze(1)
        return first

    def _answers(self, fused: Tensor, walks: Walk) -> Tensor:
        """The logit of each walk, (B, WALKS)."""
        asked = fused.repeat_interleave(WALKS, 0)
        logits: Tensor = self.out(torch.cat([asked, walks.vectors], 1)).view(-1, WALKS)
        return logits

    def forward(self, batch: Batch) -> Tensor:
        """(B,): the mean over the walks."""
        fused = self.fused(batch)
        return self._answers(fused, self.walk(batch, fused)).mean(1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The answer's, the walks' own, the reward's, and the entropy's."""
        fused = self.fused(batch)
        walks = self.walk(batch, fused)
        each = self._answers(fused, walks)
        right = batch.yes.unsqueeze(1).expand_as(each)
        reward = ((each > 0).to(right.dtype) == right).to(right.dtype).detach()
        advantage = reward - reward.mean(1, keepdim=True)
        return {
            "answer": answer_loss(each.mean(1), batch),
            "walks": functional.binary_cross_entropy_with_logits(each, right),
            "reward": -REWARD * (advantage * walks.log_likelihood.view_as(each)).mean(),
            "entropy": -ENTROPY * walks.entropy,
        }


def actions(batch: Batch) -> Tensor:
    """Of each node, and of no node in the last row, the edges that leave it, at most `MOST`, then to stay, (N + 1, 1 +
    MOST): places among the edges, E to stay, -1 for none. A node with more edges has the most relevant ones, as their
    subgraph has them in order, whether they go forth or back.
    """
    nodes, edges = len(batch.of), len(batch.kinds)
    half = edges // 2  # all edges forth, then the same back
    rank = torch.arange(edges, device=batch.of.device) % max(1, half)
    order = (batch.ends[0] * max(1, half) + rank).argsort(stable=True)
    source = batch.ends[0][order]
    counts = torch.bincount(source, minlength=nodes) if edges else source.new_zeros(nodes)
    turn = torch.arange(edges, device=source.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    table = source.new_full((nodes + 1, 1 + MOST), -1)
    table[:, MOST] = edges
    kept = turn < MOST
    table[source[kept], turn[kept]] = order[kept]
    return table


def starts(batch: Batch, walks: int) -> Tensor:
    """Where the walks begin, (B · walks,): at the question's concepts in turn; at no node (N) where it names none."""
    count, nodes = len(batch), len(batch.of)
    named = (batch.flags[:, SEED] > 0).nonzero().squeeze(1)
    of = batch.of[named]
    many = torch.bincount(of, minlength=count) if len(of) else batch.of.new_zeros(count)
    first = many.cumsum(0) - many
    turn = torch.arange(walks, device=batch.of.device).unsqueeze(0)  # (1, walks)
    place = first.unsqueeze(1) + turn % many.clamp(min=1).unsqueeze(1)
    there = (many > 0).unsqueeze(1).expand_as(place)
    padded = torch.cat([named, named.new_full((1,), nodes)])
    return padded[torch.where(there, place, len(named))].flatten()
