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
    own_layer, pyg_layer = RelationalConvolution(8, 6, 3), RGCNConv(8, 8, 6, num_bases=3)
    with torch.no_grad():
        pyg_layer.comp.copy_(own_layer.shares)
        pyg_layer.weight.copy_(own_layer.gathered.weight.view(8, 3, 8).permute(1, 2, 0))
        pyg_layer.root.copy_(own_layer.root.weight.T)
        pyg_layer.bias.copy_(own_layer.root.bias)
    states, ends, kinds = torch.randn(10, 8), torch.randint(0, 10, (2, 40)), torch.randint(0, 6, (40,))
    torch.testing.assert_close(own_layer(states, ends, kinds), pyg_layer(states, ends, kinds))
