"""The base model, which knows no graph, and what all methods share (MedMKG §4.3; the released code)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.vqa.batch import QuestionBatch

Sees = Literal["both", "question", "image"]


@dataclass(frozen=True)
class Sizes:
    """Widths: of the towers' vectors, of hidden layers, of the graph's states; and the shares that dropout drops, of
    image and question, and where the graph is read.
    """

    image: int
    region: int
    text: int
    hidden: int = 512
    graph: int = 128
    layers: int = 2
    dropout: float = 0.1
    graph_dropout: float = 0.1


class Method(nn.Module):
    """Answers closed questions: `forward` gives a logit of yes for each, (B,); `losses` what training minimises."""

    def losses(self, batch: QuestionBatch) -> dict[str, Tensor]:
        """By name, each a scalar."""
        return {"answer": answer_loss(self(batch), batch)}


def answer_loss(logits: Tensor, batch: QuestionBatch) -> Tensor:
    """Binary cross-entropy."""
    return functional.binary_cross_entropy_with_logits(logits, batch.yes)


def mlp(inward: int, hidden: int, outward: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear."""
    return nn.Sequential(nn.Linear(inward, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outward))


class Fused(nn.Module):
    """Image and question as one vector, both brought to the same scale: (B, hidden)."""

    def __init__(self, sizes: Sizes, sees: Sees = "both") -> None:
        super().__init__()
        self.sees = sees
        self.image_norm, self.question_norm = nn.LayerNorm(sizes.image), nn.LayerNorm(sizes.text)
        self.hidden = nn.Linear(sizes.image + sizes.text, sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, batch: QuestionBatch) -> Tensor:
        """What a part that is not to be seen says is 0."""
        image_part = self.image_norm(batch.image) * (self.sees != "question")
        question_part = self.question_norm(batch.question) * (self.sees != "image")
        fused: Tensor = self.dropout(torch.relu(self.hidden(torch.cat([image_part, question_part], 1))))
        return fused


class Base(Method):
    """[image; question] → 512 → yes or no; with one of both alone it is the baseline that looks away from the other."""

    def __init__(self, sizes: Sizes, sees: Sees = "both") -> None:
        super().__init__()
        self.fused = Fused(sizes, sees)
        self.out = nn.Linear(sizes.hidden, 1)

    def forward(self, batch: QuestionBatch) -> Tensor:
        """(B,)."""
        logits: Tensor = self.out(self.fused(batch)).squeeze(1)
        return logits
