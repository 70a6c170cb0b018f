"""What the retrieval benchmark runs on: synthetic studies with their graph, or pairs and a graph of the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import kgplatform
from benchmarks.harness.own_graph import own_graph, prepare_studies
from kgplatform.cli.output import note
from kgplatform.datasets import graph_studies, pairs
from kgplatform.datasets import pair_checks as checks
from kgplatform.datasets.knowledge import Knowledge, read_knowledge
from kgplatform.datasets.pairs import PairSet
from kgplatform.errors import UsageError

STUDIES = (2400, 1800)  # that the graph is built from, and that are paired: plain cores train them in 90 minutes
GRAPH_SEED = 7
PAIRS_SEED = 12  # other subjects; seeds 11 and 23 were used while settings were chosen


@dataclass(frozen=True)
class RetrievalData:
    """Pairs, the graph, where its images lie, and what names concepts in reports."""

    name: str
    pairs: PairSet
    knowledge: Knowledge
    images: Path
    lexicon: Sequence[Path]


def phantom_retrieval_data(build: Path, protocol: str, graph_study_count: int, pair_study_count: int) -> RetrievalData:
    """The synthetic studies: those of the graph, read by construction into a Neo4j of the benchmark's own, and those
    that are paired, without what is in the graph. What exists already is used.
    """
    folders = [
        prepare_studies(build / f"graph-{graph_study_count}", graph_study_count, GRAPH_SEED),
        prepare_studies(build / f"pairs-{pair_study_count}", pair_study_count, PAIRS_SEED),
    ]
    with own_graph(build / f"neo4j-{graph_study_count}") as graph:
        constructed = graph.construct(None, folders[0], score=False)
        note(f"graph: run {constructed.report.run}")
        knowledge, graph_ids = read_knowledge(graph), graph_studies.graph_images(graph)
    all_pairs = pairs.read_pairs("mimic-cxr", folders[1]).pairs
    disjoint_pairs = graph_studies.exclude(all_pairs, *graph_ids)
    note(
        f"pairs: {len(disjoint_pairs):,}; {len(all_pairs) - len(disjoint_pairs):,} of studies and subjects of the "
        "graph are left out"
    )
    parts = pairs.partition_pairs(disjoint_pairs, protocol)
    pair_set = PairSet(parts, "mimic-cxr", folders[1], None, protocol)
    return RetrievalData("phantom", pair_set, knowledge, folders[0], [folders[0] / "ontology"])


def running_retrieval_data(file: Path, images: Path | None, lexicon: Sequence[Path], protocol: str) -> RetrievalData:
    """Pairs of `kgp pairs`, and the graph in the running Neo4j, whose images' paths begin in `images`."""
    pair_set = PairSet.read(file, require_images=True)
    if pair_set.protocol != protocol:
        raise UsageError(
            f"the pairs are split by {pair_set.protocol}", "Give that protocol with --protocol, or make other pairs."
        )
    if images is None:
        raise UsageError(
            "the graph's images are missing", "Give the folder that their paths are relative to: --images DIR."
        )
    with kgplatform.open() as graph:
        checks.refuse_graph_pairs(pair_set, graph_studies.graph_images(graph))
        return RetrievalData(file.stem, pair_set, read_knowledge(graph), images, lexicon)
