"""KRISP (Marino et al., CVPR 2021): implicit knowledge of the towers and symbolic knowledge of the graph, fused late.

The symbolic part is a relational graph convolution (Schlichtkrull et al. 2018) over the question's subgraph. As in the
paper a node is given whether the question names it, how likely the image shows it, its name, and the implicit part's
vector; answers are the maximum of both parts' logits of each answer, and each part is trained by the answer on its own.
Of a question without a subgraph the implicit part alone answers.

MedMKG's code takes the maximum of two logits of yes, so one part alone can say yes but never no, convolves without
relations, and drops 80 % in the symbolic part.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.vqa.base import Fused, Method, Sizes, mlp
from kgp_models.vqa.batch import SEED, QuestionBatch
from kgp_models.vqa.message_passing import Nodes, RelationalConvolution, highest, pooled

BASES = 4  # of the relations' matrices


class KRISP(Method):
    """Answers are no and yes, in this order."""

    def __init__(self, sizes: Sizes, kinds: int) -> None:
        """`kinds` is how many kinds of edges there are, forth and back together."""
        super().__init__()
        width = sizes.graph
        self.fused = Fused(sizes)
        self.implicit = nn.Linear(sizes.hidden, 2)
        self.nodes = Nodes(sizes.image, sizes.text, width, sizes.graph_dropout)
        self.told = nn.Linear(sizes.hidden, width)
        self.layers = nn.ModuleList(RelationalConvolution(width, kinds, BASES) for _ in range(sizes.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(sizes.layers))
        self.dropout = nn.Dropout(sizes.graph_dropout)
        self.symbolic = mlp(2 * width, width, 2, sizes.graph_dropout)

    def parts(self, batch: QuestionBatch) -> tuple[Tensor, Tensor, Tensor]:
        """The logits of both parts, (B, 2) each, and which questions have a subgraph, (B,): the symbolic part says
        nothing of the others.
        """
        fused = self.fused(batch)
        node_states = self.nodes(batch) + self.told(fused)[batch.question_index]
        for graph_layer, norm_layer in zip(self.layers, self.norms, strict=True):
            node_states = norm_layer(
                node_states + self.dropout(torch.relu(graph_layer(node_states, batch.ends, batch.kinds)))
            )
        is_named = batch.flags[:, SEED]
        question_count = len(batch)
        graph_vectors = torch.cat(
            [
                pooled(node_states, 1e4 * (is_named - 1), batch.question_index, question_count),
                highest(node_states, batch.question_index, question_count),
            ],
            1,
        )
        has_subgraph = torch.zeros(question_count, dtype=torch.bool, device=graph_vectors.device).index_fill(
            0, batch.question_index, True
        )
        return self.implicit(fused), self.symbolic(graph_vectors), has_subgraph

    def forward(self, batch: QuestionBatch) -> Tensor:
        """(B,)."""
        best_logits = _larger_logits(*self.parts(batch))
        return best_logits[:, 1] - best_logits[:, 0]

    def losses(self, batch: QuestionBatch) -> dict[str, Tensor]:
        """The fused answer's, and each part's own."""
        implicit, symbolic, has_subgraph = self.parts(batch)
        correct_answers = batch.yes.long()
        graph_losses = functional.cross_entropy(symbolic, correct_answers, reduction="none") * has_subgraph
        return {
            "answer": functional.cross_entropy(_larger_logits(implicit, symbolic, has_subgraph), correct_answers),
            "implicit": functional.cross_entropy(implicit, correct_answers),
            "symbolic": graph_losses.sum() / has_subgraph.sum().clamp(min=1),
        }


def _larger_logits(implicit: Tensor, symbolic: Tensor, is_known: Tensor) -> Tensor:
    """The larger logit of each answer, (B, 2); of a question of which nothing is known, the implicit part's."""
    return torch.where(is_known.unsqueeze(1), torch.maximum(implicit, symbolic), implicit)
