"""What a model is given of some questions: vectors of frozen towers, and the questions' subgraphs as one graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from torch import Tensor

from kgplatform.vqa.subgraph import Subgraph

SEED, IMAGE, PICTURED, LIKELIHOOD, LIFT, HAS_EVIDENCE = range(6)  # columns of `Batch.flags`
FLAGS: Final = 6
NAMED, PATH_FLAGS = 0, 4  # of `Batch.path_flags`: its first column, and how many there are


@dataclass(frozen=True, eq=False)
class QuestionBatch:
    """B questions, N nodes, E directed edges (every edge of a subgraph forth and back), P paths a question.

    `question_index` numbers the question of each node; `kinds` are places in the kinds' vectors, those of edges that
    are gone back come after all those of edges that are gone forth. `flags` tell of a node whether the question names
    it, whether it is an image, one with a picture, how likely the image shows it, how much likelier than others do, and
    whether the graph's images tell that at all. `path_flags` tell of a path which share of its ends the question names
    (NAMED), then LIKELIHOOD, LIFT and HAS_EVIDENCE, the highest of those of its concepts that the question does not
    name.
    """

    image: Tensor  # (B, Di)
    regions: Tensor  # (B, R, Di)
    question: Tensor  # (B, Dt)
    words: Tensor  # (B, T, Dt)
    mask: Tensor  # (B, T), whether there is a word
    names: Tensor  # (N, Dt), zeros for images
    pictures: Tensor  # (N, Di), zeros for concepts and images without a file
    flags: Tensor  # (N, FLAGS)
    graph_rows: Tensor  # (N,), in the graph
    question_index: Tensor  # (N,)
    ends: Tensor  # (2, E), source and target
    kinds: Tensor  # (E,)
    paths: Tensor  # (B, P, Dt)
    path_flags: Tensor  # (B, P, PATH_FLAGS)
    path_mask: Tensor  # (B, P), whether there is a path
    yes: Tensor  # (B,), 1.0 where the answer is yes

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self.yes)

    def to(self, device: torch.device | str) -> QuestionBatch:
        """The batch on a device."""
        return QuestionBatch(
            **{batch_field.name: getattr(self, batch_field.name).to(device) for batch_field in fields(self)}
        )


@dataclass(frozen=True, eq=False)
class Joined:
    """Subgraphs of several questions, side by side: `nodes` (N,) are places in the graph."""

    nodes: Tensor
    seeds: Tensor  # (N,), whether the question names it
    question_index: Tensor
    ends: Tensor
    kinds: Tensor


def join_subgraphs(subgraphs: Sequence[Subgraph], kinds: int) -> Joined:
    """The subgraphs as one graph whose parts are not joined; `kinds` is how many kinds of edges there are."""
    node_counts = np.array([len(subgraph.nodes) for subgraph in subgraphs], dtype=np.int64)
    edge_counts = np.array([len(subgraph.edges) for subgraph in subgraphs], dtype=np.int64)
    node_starts = np.cumsum(node_counts) - node_counts
    edges = (
        np.concatenate([subgraph.edges for subgraph in subgraphs])
        if len(subgraphs)
        else np.empty((0, 3), dtype=np.int64)
    )
    edge_shift = np.repeat(node_starts, edge_counts)
    head_rows, tail_rows = edges[:, 0] + edge_shift, edges[:, 2] + edge_shift
    seed_masks = [np.arange(len(subgraph.nodes)) < subgraph.seeds for subgraph in subgraphs]
    return Joined(
        torch.from_numpy(np.concatenate([subgraph.nodes for subgraph in subgraphs])),
        torch.from_numpy(np.concatenate(seed_masks)),
        torch.from_numpy(np.repeat(np.arange(len(subgraphs)), node_counts)),
        torch.from_numpy(np.stack([np.concatenate([head_rows, tail_rows]), np.concatenate([tail_rows, head_rows])])),
        torch.from_numpy(np.concatenate([edges[:, 1], edges[:, 1] + kinds])),
    )
