"""Message passing that knows by which relation, or with which stance, and in which direction a neighbour is joined."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

from kgp_models.vqa.batch import FLAGS, IMAGE, Batch


class Kinds(nn.Module):
    """A vector of each kind of edge, forth and back: of its name by the text tower, plus one that is learnt.

    The names tell of kinds that training has seldom seen; the learnt part, which starts at 0, tells apart what the
    names do not.
    """

    def __init__(self, names: Tensor, width: int) -> None:
        """`names` (K, Dt) are the text tower's vectors."""
        super().__init__()
        self.register_buffer("names", names, persistent=False)
        self.forth, self.back = nn.Linear(names.shape[1], width), nn.Linear(names.shape[1], width)
        self.learnt = nn.Parameter(torch.zeros(2 * len(names), width))

    def forward(self) -> Tensor:
        """(2 K, width)."""
        names: Any = self.names
        return torch.cat([self.forth(names), self.back(names)]) + self.learnt


class Nodes(nn.Module):
    """What a node starts with: its name or its picture, its flags, and what the question and the image say."""

    def __init__(self, image: int, text: int, width: int, dropout: float) -> None:
        super().__init__()
        self.name, self.picture = nn.Linear(text, width), nn.Linear(image, width)
        self.flags = nn.Linear(FLAGS, width)
        self.asked = nn.Linear(text + image, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """(N, width)."""
        pictured = batch.flags[:, IMAGE : IMAGE + 1]
        own = (1 - pictured) * self.name(batch.names) + pictured * self.picture(batch.pictures)
        asked = self.asked(torch.cat([batch.question, batch.image], 1))  # (B, width)
        out: Tensor = self.dropout(torch.relu(self.norm(own + self.flags(batch.flags) + asked[batch.of])))
        return out


class RelationalAttention(MessagePassing):  # type: ignore[misc]
    """A layer of a relational graph attention network (RGAT: Ishiwatari et al. 2020; Busbridge et al. 2019).

        e_ij = a · LeakyReLU(W h_i + V h_j + r_ij),   α_ij = softmax_j e_ij
        h_i' = h_i + ReLU(Σ_j α_ij (V h_j ⊙ (1 + tanh(U r_ij)) + r_ij))

    The factor lets a relation, and a NEGATIVE stance, turn a message around; a sum alone could only shift it.
    """

    def __init__(self, width: int, heads: int = 4, dropout: float = 0.1) -> None:
        super().__init__(aggr="add", node_dim=0)
        self.heads = heads
        self.target, self.source = nn.Linear(width, width), nn.Linear(width, width)
        self.turn = nn.Linear(width, width)
        self.score = nn.Parameter(torch.empty(heads, width // heads))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.score)

    def forward(self, states: Tensor, ends: Tensor, kinds: Tensor) -> Tensor:
        """States (N, width), edges (2, E), the vectors of their kinds (E, width) to states (N, width)."""
        passed = self.propagate(ends, to=self.target(states), sent=self.source(states), kinds=kinds)
        out: Tensor = self.norm(states + self.dropout(torch.relu(passed)))
        return out

    def message(self, to_i: Tensor, sent_j: Tensor, kinds: Tensor, index: Tensor, size_i: int | None) -> Tensor:
        """Messages (E, width)."""
        raw = nn.functional.leaky_relu(to_i + sent_j + kinds, 0.2).view(-1, self.heads, self.score.shape[1])
        weight = softmax((raw * self.score).sum(-1), index, num_nodes=size_i)  # (E, heads)
        sent = (sent_j * (1 + torch.tanh(self.turn(kinds))) + kinds).view_as(raw)
        out: Tensor = (weight.unsqueeze(-1) * sent).flatten(1)
        return out


class GraphEncoder(nn.Module):
    """Nodes, then layers of relational attention: the states of a batch's nodes and the vectors of its edges' kinds."""

    def __init__(self, image: int, text: int, width: int, layers: int, dropout: float, kinds: Tensor) -> None:
        """`kinds` (K, Dt) are the text tower's vectors of the kinds' names."""
        super().__init__()
        self.kinds, self.nodes = Kinds(kinds, width), Nodes(image, text, width, dropout)
        self.layers = nn.ModuleList(RelationalAttention(width, dropout=dropout) for _ in range(layers))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(N, width) and (E, width)."""
        kinds = self.kinds()[batch.kinds]
        states = self.nodes(batch)
        for layer in self.layers:
            states = layer(states, batch.ends, kinds)
        return states, kinds


class RelationalConvolution(MessagePassing):  # type: ignore[misc]
    """A layer of a relational graph convolution, its matrices sums of bases (RGCN: Schlichtkrull et al. 2018).

        h_i' = W h_i + Σ_r Σ_j∈N_r(i) 1/|N_r(i)| Σ_b a_rb V_b h_j

    PyG's own goes through the relations one by one, of which MedMKG's graph has 530, most of them not in a batch.
    """

    def __init__(self, width: int, kinds: int, bases: int) -> None:
        super().__init__(aggr="add", node_dim=0)
        self.kinds, self.bases = kinds, bases
        self.root, self.spread = nn.Linear(width, width), nn.Linear(width, bases * width, bias=False)
        self.shares = nn.Parameter(torch.empty(kinds, bases))
        nn.init.xavier_uniform_(self.shares)

    def forward(self, states: Tensor, ends: Tensor, kinds: Tensor) -> Tensor:
        """States (N, width), edges (2, E), their kinds (E,) to states (N, width)."""
        groups = ends[1] * self.kinds + kinds
        _, place, counts = groups.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
        share = self.shares[kinds] / counts[place].unsqueeze(1)  # (E, bases)
        passed: Tensor = self.propagate(ends, spread=self.spread(states), share=share)
        out: Tensor = self.root(states) + passed
        return out

    def message(self, spread_j: Tensor, share: Tensor) -> Tensor:
        """Messages (E, width)."""
        return torch.einsum("ebw,eb->ew", spread_j.view(-1, self.bases, spread_j.shape[1] // self.bases), share)


def pooled(states: Tensor, scores: Tensor, of: Tensor, questions: int) -> Tensor:
    """For each question the mean of its nodes' states (N, width), weighted by the softmax of scores (N,); or zeros."""
    weight = softmax(scores, of, num_nodes=questions)
    return states.new_zeros(questions, states.shape[1]).index_add(0, of, weight.unsqueeze(1) * states)


def highest(states: Tensor, of: Tensor, questions: int) -> Tensor:
    """For each question the largest value of each column over its nodes; zeros without nodes, and never below 0."""
    out = states.new_zeros(questions, states.shape[1])
    return out.scatter_reduce(0, of.unsqueeze(1).expand_as(states), states, "amax", include_self=True)
