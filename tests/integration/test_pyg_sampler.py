"""The PyG sampler on a real graph: what it draws is there, at the rates asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgplatform.export.read import Selection, read_triples
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from tests.integration.test_export_small import IMAGES, handmade

pytestmark = pytest.mark.server


@pytest.mark.data
def test_samples_are_edges_of_the_graph_and_keep_to_the_fanout(medmkg_graph: Graph) -> None:
    sampler_class, loaders = _pyg()
    triples = read_triples(medmkg_graph)
    edges = set(map(tuple, triples.ids.tolist()))
    image_ids = np.flatnonzero(triples.kinds == "Image").tolist()
    full_degree = np.bincount(triples.ids[:, [0, 2]].reshape(-1))
    sampler = sampler_class(medmkg_graph, triples, fanout=[4, 3], seed=1)
    node_loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=image_ids[:200], batch_size=50)
    for batch_number, batch in enumerate(node_loader):
        assert batch.n_id[: batch.batch_size].tolist() == image_ids[batch_number * 50 : batch_number * 50 + 50]
        assert len(set(batch.n_id.tolist())) == len(batch.n_id) == sum(batch.num_sampled_nodes)
        source, target = (batch.n_id[end_indices].tolist() for end_indices in batch.edge_index)
        for source_id, target_id, edge_id, relation_id in zip(
            source, target, batch.e_id.tolist(), batch.edge_type.tolist(), strict=True
        ):
            is_forward = edge_id < len(triples)
            head, relation, tail = triples.ids[edge_id % len(triples)].tolist()
            assert (head, relation, tail) in edges
            assert (source_id, target_id) == ((head, tail) if is_forward else (tail, head))
            assert relation_id == (relation if is_forward else relation + triples.num_relations)
        sampled_degree = np.bincount(batch.edge_index[1], minlength=len(batch.n_id))
        first_count, second_count = batch.num_sampled_nodes[:2]
        for node_index, entity in enumerate(batch.n_id.tolist()):
            expected = 4 if node_index < first_count else 3 if node_index < first_count + second_count else 0
            assert sampled_degree[node_index] == min(expected, full_degree[entity])
        assert len(set(batch.e_id.tolist())) == len(batch.e_id)


@pytest.mark.data
def test_the_same_seed_draws_the_same_and_another_seed_draws_elsewhere(medmkg_graph: Graph) -> None:
    sampler_class, loaders = _pyg()
    triples = read_triples(medmkg_graph)

    def sampled_edges(seed: int) -> list[list[int]]:
        sampler = sampler_class(medmkg_graph, triples, fanout=[5], seed=seed)
        node_loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=list(range(300)), batch_size=100)
        return [batch.e_id.tolist() for batch in node_loader]

    assert sampled_edges(1) == sampled_edges(1)
    assert sampled_edges(1) != sampled_edges(2)


@pytest.mark.data
def test_a_small_rgcn_trains_from_the_live_database(medmkg_graph: Graph) -> None:
    """To tell the images with mostly positive findings from the others."""
    sampler_class, loaders = _pyg()
    import torch
    from torch_geometric.nn import RGCNConv

    torch.manual_seed(0)
    triples = read_triples(medmkg_graph, Selection(only="cross"))
    is_positive = triples.ids[:, 1] == triples.relations.index("POSITIVE")
    positive_share = np.bincount(triples.ids[is_positive, 0], minlength=triples.num_entities) / np.maximum(
        np.bincount(triples.ids[:, 0], minlength=triples.num_entities), 1
    )
    sampler = sampler_class(medmkg_graph, triples, fanout=[5, 3])
    graph_data = sampler.data
    graph_data.y = torch.from_numpy(positive_share > 0.6).float()
    image_ids = np.flatnonzero(triples.kinds == "Image")[:512].tolist()
    node_loader = loaders.NodeLoader(graph_data, sampler, input_nodes=image_ids, batch_size=64, shuffle=True)
    embedding = torch.nn.Embedding(triples.num_entities, 16)
    layers = torch.nn.ModuleList([RGCNConv(16, 16, 6), RGCNConv(16, 1, 6)])
    optimiser = torch.optim.Adam([*embedding.parameters(), *layers.parameters()], lr=0.01)
    losses = []
    for _ in range(4):
        epoch_loss = 0.0
        for batch in node_loader:
            hidden = layers[0](embedding(batch.n_id), batch.edge_index, batch.edge_type).relu()
            logits = layers[1](hidden, batch.edge_index, batch.edge_type)[: batch.batch_size, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.y[: batch.batch_size])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            epoch_loss += loss.item()
        losses.append(epoch_loss)
    assert losses[-1] < 0.6 * losses[0], losses


@pytest.mark.data
def test_links_with_negatives_are_sampled(medmkg_graph: Graph) -> None:
    sampler_class, loaders = _pyg()
    from torch_geometric.sampler import NegativeSampling

    triples = read_triples(medmkg_graph)
    sampler = sampler_class(medmkg_graph, triples, fanout=[3])
    seed_links = sampler.data.edge_index[:, :60]
    negatives = NegativeSampling("binary", 1.0)
    link_loader = loaders.LinkLoader(
        sampler.data, sampler, edge_label_index=seed_links, neg_sampling=negatives, batch_size=30
    )
    for batch_number, batch in enumerate(link_loader):
        assert batch.edge_label.tolist() == [1.0] * 30 + [0.0] * 30
        link_ends = batch.n_id[batch.edge_label_index[:, :30]]
        assert link_ends.tolist() == seed_links[:, batch_number * 30 : batch_number * 30 + 30].tolist()


def _pyg() -> tuple[Any, Any]:
    """The sampler's class and PyG's loaders; their imports warn."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch_geometric.loader as loaders

        from kgp_models.pyg_sampler import GraphSampler
    return GraphSampler, loaders


def test_every_edge_is_drawn_as_often_as_the_others(graph: Graph, tmp_path: Path) -> None:
    sampler_class, loaders = _pyg()
    image_edges = [(IMAGES[0], "POSITIVE", ("Concept", f"C{concept_number:07d}")) for concept_number in range(20)]
    handmade(graph, tmp_path, "a", *image_edges)
    triples = read_triples(graph)
    sampler = sampler_class(graph, triples, fanout=[5], seed=3)
    node_loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[triples.labels.index("I1")], batch_size=1)
    edge_counts = np.zeros(40)
    for _ in range(200):
        [batch] = node_loader
        assert len(set(batch.e_id.tolist())) == 5
        edge_counts[batch.e_id] += 1
    assert edge_counts[:20].sum() == 0  # all edges leave the image, so all come backwards
    assert 25 <= edge_counts[20:].min() <= edge_counts[20:].max() <= 75  # 50 expected; 6 is a standard deviation


def test_what_is_deleted_is_not_drawn_and_what_is_new_is_not_either(graph: Graph, tmp_path: Path) -> None:
    sampler_class, loaders = _pyg()
    image_edges = [(IMAGES[0], "POSITIVE", ("Concept", f"C{node_number:07d}")) for node_number in range(4)]
    handmade(graph, tmp_path, "a", *image_edges)
    triples = read_triples(graph)
    sampler = sampler_class(graph, triples, fanout=[-1])
    node_loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[triples.labels.index("I1")], batch_size=1)
    assert len(next(iter(node_loader)).e_id) == 4
    handmade(graph, tmp_path, "b", (IMAGES[0], "POSITIVE", ("Concept", "C7777777")))
    graph.write(parse_query("t/d", "// Delete one.\nMATCH (:Image)-[r]->(:Concept {cui: 'C0000002'}) DELETE r"))
    batch = next(iter(node_loader))
    assert {triples.labels[node_number] for node_number in batch.n_id.tolist()} == {
        "I1",
        "C0000000",
        "C0000001",
        "C0000003",
    }
    training_triples = replace(triples, ids=triples.ids[:1])
    sampler = sampler_class(graph, training_triples, fanout=[-1], inverse=False)
    node_loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[int(training_triples.ids[0, 2])], batch_size=1)
    batch = next(iter(node_loader))
    assert batch.e_id.tolist() == [0]
    assert batch.edge_type.tolist() == [0]
