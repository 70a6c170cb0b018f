"""Small graphs, splits and settings for the tests of link prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgplatform.export.triples import Node, Triples
from tests import ROOT

torch = pytest.importorskip("torch")

PAPER = sorted((ROOT / "benchmarks/link_prediction/settings/paper").glob("*.yaml"))
N, R = 24, 3
QUICK = {"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 6, "check_every": 2, "batch_size": 32}


def small_graph(seed: int = 0, entities: int = N, relations: int = R, edges: int = 120) -> Triples:
    """Images joined to concepts by r0, concepts to concepts by r1 and its inverse r2."""
    generator = np.random.default_rng(seed)
    nodes = {
        entity_id: Node(f"e{entity_id:03}", "Image" if entity_id < entities // 3 else "Concept")
        for entity_id in range(entities)
    }
    triple_rows: set[tuple[int, str, int]] = set()
    while len(triple_rows) < edges:
        head, tail = (int(endpoint) for endpoint in generator.integers(entities, size=2))
        if head < entities // 3 <= tail:
            triple_rows.add((head, "r0", tail))
        elif min(head, tail) >= entities // 3 and relations > 2:
            triple_rows |= {(head, "r1", tail), (tail, "r2", head)}
    return Triples.build(sorted(triple_rows), nodes)


def small_arguments(name: str) -> dict[str, Any]:
    return {"embedding_dim": 16} if name != "ntn" else {"embedding_dim": 8, "num_slices": 3}


def assert_close(ours: Any, theirs: Any) -> None:
    scale = 1 + theirs.abs().max()
    assert float((ours - theirs).abs().max() / scale) < 2e-5


class TableScorer:
    """A scorer whose score of every triple is given: (N, R, N)."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = torch.from_numpy(scores)
        self.num_entities, self.num_relations = scores.shape[0], scores.shape[1]

    def triples(self, h: Any, r: Any, t: Any) -> Any:
        return self.scores[h, r, t]

    def tails(self, h: Any, r: Any) -> Any:
        return self.scores[h, r]

    def heads(self, r: Any, t: Any) -> Any:
        return self.scores[:, r, t].T

    def relations(self, h: Any, t: Any) -> Any:
        return self.scores[h, :, t]
