"""The PyG sampler on a real graph: what it draws is there, at the rates asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgplatform.export.read import Selection, read_triples
from kgplatform.graph import Graph
from kgplatform.queries import parse
from tests.integration.test_export_small import IMAGES, handmade

pytestmark = pytest.mark.server


@pytest.mark.data
def test_samples_are_edges_of_the_graph_and_keep_to_the_fanout(medmkg_graph: Graph) -> None:
    sampler_of, loaders = _pyg()
    triples = read_triples(medmkg_graph)
    edges = set(map(tuple, triples.ids.tolist()))
    images = np.flatnonzero(triples.kinds == "Image").tolist()
    degree = np.bincount(triples.ids[:, [0, 2]].reshape(-1))
    sampler = sampler_of(medmkg_graph, triples, fanout=[4, 3], seed=1)
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=images[:200], batch_size=50)
    for number, found in enumerate(loader):
        assert found.n_id[: found.batch_size].tolist() == images[number * 50 : number * 50 + 50]
        assert len(set(found.n_id.tolist())) == len(found.n_id) == sum(found.num_sampled_nodes)
        source, target = (found.n_id[row].tolist() for row in found.edge_index)
        for s, t, e, kind in zip(source, target, found.e_id.tolist(), found.edge_type.tolist(), strict=True):
            forward = e < len(triples)
            head, relation, tail = triples.ids[e % len(triples)].tolist()
            assert (head, relation, tail) in edges
            assert (s, t) == ((head, tail) if forward else (tail, head))
            assert kind == (relation if forward else relation + triples.num_relations)
        drawn = np.bincount(found.edge_index[1], minlength=len(found.n_id))
        first, second = found.num_sampled_nodes[:2]
        for i, entity in enumerate(found.n_id.tolist()):
            wanted = 4 if i < first else 3 if i < first + second else 0
            assert drawn[i] == min(wanted, degree[entity])
        assert len(set(found.e_id.tolist())) == len(found.e_id)


@pytest.mark.data
def test_the_same_seed_draws_the_same_and_another_seed_draws_elsewhere(medmkg_graph: Graph) -> None:
    sampler_of, loaders = _pyg()
    triples = read_triples(medmkg_graph)

    def drawn(seed: int) -> list[list[int]]:
        sampler = sampler_of(medmkg_graph, triples, fanout=[5], seed=seed)
        loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=list(range(300)), batch_size=100)
        return [found.e_id.tolist() for found in loader]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.data
def test_a_small_rgcn_trains_from_the_live_database(medmkg_graph: Graph) -> None:
    """To tell the images with mostly positive findings from the others."""
    sampler_of, loaders = _pyg()
    import torch
    from torch_geometric.nn import RGCNConv

    torch.manual_seed(0)
    triples = read_triples(medmkg_graph, Selection(only="cross"))
    positive = triples.ids[:, 1] == triples.relations.index("POSITIVE")
    share = np.bincount(triples.ids[positive, 0], minlength=triples.num_entities) / np.maximum(
        np.bincount(triples.ids[:, 0], minlength=triples.num_entities), 1
    )
    sampler = sampler_of(medmkg_graph, triples, fanout=[5, 3])
    data = sampler.data
    data.y = torch.from_numpy(share > 0.6).float()
    images = np.flatnonzero(triples.kinds == "Image")[:512].tolist()
    loader = loaders.NodeLoader(data, sampler, input_nodes=images, batch_size=64, shuffle=True)
    embedding = torch.nn.Embedding(triples.num_entities, 16)
    layers = torch.nn.ModuleList([RGCNConv(16, 16, 6), RGCNConv(16, 1, 6)])
    optimiser = torch.optim.Adam([*embedding.parameters(), *layers.parameters()], lr=0.01)
    losses = []
    for _ in range(4):
        total = 0.0
        for found in loader:
            x = layers[0](embedding(found.n_id), found.edge_index, found.edge_type).relu()
            out = layers[1](x, found.edge_index, found.edge_type)[: found.batch_size, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(out, found.y[: found.batch_size])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total)
    assert losses[-1] < 0.6 * losses[0], losses


@pytest.mark.data
def test_links_with_negatives_are_sampled(medmkg_graph: Graph) -> None:
    sampler_of, loaders = _pyg()
    from torch_geometric.sampler import NegativeSampling

    triples = read_triples(medmkg_graph)
    sampler = sampler_of(medmkg_graph, triples, fanout=[3])
    links = sampler.data.edge_index[:, :60]
    negatives = NegativeSampling("binary", 1.0)
    loader = loaders.LinkLoader(sampler.data, sampler, edge_label_index=links, neg_sampling=negatives, batch_size=30)
    for number, found in enumerate(loader):
        assert found.edge_label.tolist() == [1.0] * 30 + [0.0] * 30
        told = found.n_id[found.edge_label_index[:, :30]]
        assert told.tolist() == links[:, number * 30 : number * 30 + 30].tolist()


def _pyg() -> tuple[Any, Any]:
    """The sampler's class and PyG's loaders; their imports warn."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch_geometric.loader as loaders

        from kgp_models.pyg_sampler import GraphSampler
    return GraphSampler, loaders


def test_every_edge_is_drawn_as_often_as_the_others(graph: Graph, tmp_path: Path) -> None:
    sampler_of, loaders = _pyg()
    edges = [(IMAGES[0], "POSITIVE", ("Concept", f"C{i:07d}")) for i in range(20)]
    handmade(graph, tmp_path, "a", *edges)
    triples = read_triples(graph)
    sampler = sampler_of(graph, triples, fanout=[5], seed=3)
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[triples.labels.index("I1")], batch_size=1)
    counts = np.zeros(40)
    for _ in range(200):
        [found] = loader
        assert len(set(found.e_id.tolist())) == 5
        counts[found.e_id] += 1
    assert counts[:20].sum() == 0  # all edges leave the image, so all come backwards
    assert 25 <= counts[20:].min() <= counts[20:].max() <= 75  # 50 expected; 6 is a standard deviation


def test_what_is_deleted_is_not_drawn_and_what_is_new_is_not_either(graph: Graph, tmp_path: Path) -> None:
    sampler_of, loaders = _pyg()
    edges = [(IMAGES[0], "POSITIVE", ("Concept", f"C{i:07d}")) for i in range(4)]
    handmade(graph, tmp_path, "a", *edges)
    triples = read_triples(graph)
    sampler = sampler_of(graph, triples, fanout=[-1])
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[triples.labels.index("I1")], batch_size=1)
    assert len(next(iter(loader)).e_id) == 4
    handmade(graph, tmp_path, "b", (IMAGES[0], "POSITIVE", ("Concept", "C7777777")))
    graph.write(parse("t/d", "// Delete one.\nMATCH (:Image)-[r]->(:Concept {cui: 'C0000002'}) DELETE r"))
    found = next(iter(loader))
    assert {triples.labels[i] for i in found.n_id.tolist()} == {"I1", "C0000000", "C0000001", "C0000003"}
    training = replace(triples, ids=triples.ids[:1])
    sampler = sampler_of(graph, training, fanout=[-1], inverse=False)
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[int(training.ids[0, 2])], batch_size=1)
    found = next(iter(loader))
    assert found.e_id.tolist() == [0]
    assert found.edge_type.tolist() == [0]
