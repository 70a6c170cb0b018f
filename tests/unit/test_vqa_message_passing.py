"""Layers over the graph, against PyG's own."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("torch_geometric")
from torch_geometric.nn import RGCNConv

from kgp_models.vqa.message_passing import RelationalConvolution

pytestmark = pytest.mark.slow  # heavy libraries


def test_the_relational_convolution_is_pygs() -> None:
    torch.manual_seed(1)
    ours, theirs = RelationalConvolution(8, 6, 3), RGCNConv(8, 8, 6, num_bases=3)
    with torch.no_grad():
        theirs.comp.copy_(ours.shares)
        theirs.weight.copy_(ours.gathered.weight.view(8, 3, 8).permute(1, 2, 0))
        theirs.root.copy_(ours.root.weight.T)
        theirs.bias.copy_(ours.root.bias)
    states, ends, kinds = torch.randn(10, 8), torch.randint(0, 10, (2, 40)), torch.randint(0, 6, (40,))
    torch.testing.assert_close(ours(states, ends, kinds), theirs(states, ends, kinds))
