"""Message passing that knows by which relation, or with which stance, and in which direction a neighbour is joined."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

from kgp_models.vqa.batch import FLAGS, IMAGE, QuestionBatch


class Kinds(nn.Module):
    """A vector of each kind of edge, forth and back: of its name by the text tower, plus one that is learnt.

    The names tell of kinds that training has seldom seen; the learnt part, which starts at 0, distinguishes what the
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
        name_vectors: Any = self.names
        return torch.cat([self.forth(name_vectors), self.back(name_vectors)]) + self.learnt


class Nodes(nn.Module):
    """What a node starts with: its name or its picture, its flags, and what the question and the image say."""

    def __init__(self, image: int, text: int, width: int, dropout: float) -> None:
        super().__init__()
        self.name, self.picture = nn.Linear(text, width), nn.Linear(image, width)
        self.flags = nn.Linear(FLAGS, width)
        self.asked = nn.Linear(text + image, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, batch: QuestionBatch) -> Tensor:
        """(N, width)."""
        pictured = batch.flags[:, IMAGE : IMAGE + 1]
        _, node_rows = batch.graph_rows.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        name_states, picture_states = (
            _once(self.name, batch.names, node_rows),
            _once(self.picture, batch.pictures, node_rows),
        )
        own_states = (1 - pictured) * name_states + pictured * picture_states
        question_states = self.asked(torch.cat([batch.question, batch.image], 1))  # (B, width)
        node_states: Tensor = self.dropout(
            torch.relu(self.norm(own_states + self.flags(batch.flags) + question_states[batch.question_index]))
        )
        return node_states


def _once(layer: nn.Module, inputs: Tensor, row_numbers: Tensor) -> Tensor:
    """What a layer makes of vectors (N, D) that are the same where `row_numbers` (N,) are: it is given each once."""
    if not len(row_numbers):
        return layer(inputs)  # type: ignore[no-any-return]
    distinct_inputs = inputs.new_zeros(int(row_numbers.max()) + 1, inputs.shape[1]).index_copy(0, row_numbers, inputs)
    outputs: Tensor = layer(distinct_inputs)[row_numbers]
    return outputs


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

    def forward(self, states: Tensor, ends: Tensor, kinds: Tensor, table: Tensor) -> Tensor:
        """States (N, width), edges (2, E), their kinds (E,) and the vectors of all kinds (K, width) to states (N,
        width).
        """
        kind_turns = 1 + torch.tanh(self.turn(table))  # (K, width): once for each kind, and not for each edge
        target_states, source_states = self.target(states), self.source(states)
        messages = self.propagate(
            ends, to=target_states, sent=source_states, kinds=table[kinds], turn=kind_turns[kinds]
        )
        updated_states: Tensor = self.norm(states + self.dropout(torch.relu(messages)))
        return updated_states

    def message(
        self, to_i: Tensor, sent_j: Tensor, kinds: Tensor, turn: Tensor, index: Tensor, size_i: int | None
    ) -> Tensor:
        """Messages (E, width)."""
        raw_scores = nn.functional.leaky_relu(to_i + sent_j + kinds, 0.2).view(-1, self.heads, self.score.shape[1])
        attention_weights = softmax((raw_scores * self.score).sum(-1), index, num_nodes=size_i)  # (E, heads)
        sent_states = (sent_j * turn + kinds).view_as(raw_scores)
        messages: Tensor = (attention_weights.unsqueeze(-1) * sent_states).flatten(1)
        return messages


class GraphEncoder(nn.Module):
    """Nodes, then layers of relational attention: the states of a batch's nodes, and the vectors of all kinds."""

    def __init__(self, image: int, text: int, width: int, layers: int, dropout: float, kinds: Tensor) -> None:
        """`kinds` (K, Dt) are the text tower's vectors of the kinds' names."""
        super().__init__()
        self.kinds, self.nodes = Kinds(kinds, width), Nodes(image, text, width, dropout)
        self.layers = nn.ModuleList(RelationalAttention(width, dropout=dropout) for _ in range(layers))

    def forward(self, batch: QuestionBatch) -> tuple[Tensor, Tensor]:
        """(N, width) and (2 K, width)."""
        kind_table = self.kinds()
        node_states = self.nodes(batch)
        for attention_layer in self.layers:
            node_states = attention_layer(node_states, batch.ends, batch.kinds, kind_table)
        return node_states, kind_table


class RelationalConvolution(MessagePassing):  # type: ignore[misc]
    """A layer of a relational graph convolution, its matrices sums of bases (RGCN: Schlichtkrull et al. 2018).

        h_i' = W h_i + Σ_r Σ_j∈N_r(i) 1/|N_r(i)| Σ_b a_rb V_b h_j

    PyG's own goes through the relations one at a time, of which MedMKG's graph has 530, most of them not in a batch.
    """

    def __init__(self, width: int, kinds: int, bases: int) -> None:
        super().__init__(aggr="add", node_dim=0)
        self.kinds = kinds
        self.root, self.gathered = nn.Linear(width, width), nn.Linear(bases * width, width, bias=False)
        self.shares = nn.Parameter(torch.empty(kinds, bases))
        nn.init.xavier_uniform_(self.shares)

    def forward(self, states: Tensor, ends: Tensor, kinds: Tensor) -> Tensor:
        """States (N, width), edges (2, E), their kinds (E,) to states (N, width)."""
        edge_groups = ends[1] * self.kinds + kinds
        _, group_index, edge_counts = edge_groups.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
        edge_shares = self.shares[kinds] / edge_counts[group_index].unsqueeze(1)  # (E, bases)
        messages: Tensor = self.propagate(ends, states=states, share=edge_shares)
        updated_states: Tensor = self.root(states) + self.gathered(messages)
        return updated_states

    def message(self, states_j: Tensor, share: Tensor) -> Tensor:
        """A neighbour's state times its share of each basis, (E, bases · width); the bases themselves come after the
        sum, once for each node.
        """
        return (share.unsqueeze(2) * states_j.unsqueeze(1)).flatten(1)


def pooled(states: Tensor, scores: Tensor, question_index: Tensor, questions: int) -> Tensor:
    """For each question the mean of its nodes' states (N, width), weighted by the softmax of scores (N,); or zeros."""
    node_weights = softmax(scores, question_index, num_nodes=questions)
    return states.new_zeros(questions, states.shape[1]).index_add(0, question_index, node_weights.unsqueeze(1) * states)


def highest(states: Tensor, question_index: Tensor, questions: int) -> Tensor:
    """For each question the largest value of each column over its nodes; zeros without nodes, and never below 0."""
    zero_states = states.new_zeros(questions, states.shape[1])
    return zero_states.scatter_reduce(
        0, question_index.unsqueeze(1).expand_as(states), states, "amax", include_self=True
    )
