"""What the retrieval benchmark runs on: invented studies with their graph, or pairs and a graph of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from own_graph import own_graph, studies

from kgplatform.cli.output import note
from kgplatform.construct import settings as construct
from kgplatform.construct.pipeline import construction
from kgplatform.errors import UsageError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.retrieval import checks, graph_studies, pairs
from kgplatform.retrieval.knowledge import Knowledge, read_knowledge
from kgplatform.retrieval.pairs import PairSet

STUDIES = (2400, 1800)  # that the graph is built from, and that are paired: plain cores train them in 90 minutes
GRAPH_SEED = 7
PAIRS_SEED = 12  # other subjects; seeds 11 and 23 were looked at while settings were chosen


@dataclass(frozen=True)
class Data:
    """Pairs, the graph, where its images lie, and what names concepts in reports."""

    name: str
    pairs: PairSet
    knowledge: Knowledge
    images: Path
    lexicon: Sequence[Path]


def phantom(build: Path, protocol: str, of_graph: int, of_pairs: int) -> Data:
    """The invented studies: those of the graph, read by construction into a Neo4j of the benchmark's own, and those
    that are paired, without what is in the graph. What is there already is used.
    """
    folders = [
        studies(build / f"graph-{of_graph}", of_graph, GRAPH_SEED),
        studies(build / f"pairs-{of_pairs}", of_pairs, PAIRS_SEED),
    ]
    with own_graph(build / f"neo4j-{of_graph}") as graph:
        loaded = ingest(graph, construction(construct.read(folders[0] / construct.FILE), graph))
        note(f"graph: run {loaded.run}")
        knowledge, used = read_knowledge(graph), graph_studies.graph_images(graph)
    there, _ = pairs.read("mimic-cxr", folders[1])
    chosen = graph_studies.exclude(there, *used)
    note(f"pairs: {len(chosen):,}; {len(there) - len(chosen):,} of studies and subjects of the graph are left out")
    parts = pairs.split(chosen, protocol)
    dealt = PairSet(parts, "mimic-cxr", folders[1], None, protocol)
    return Data("phantom", dealt, knowledge, folders[0], [folders[0] / "ontology"])


def own(file: Path, images: Path | None, lexicon: Sequence[Path], protocol: str) -> Data:
    """Pairs of `kgp pairs`, and the graph in the running Neo4j, whose images' paths begin in `images`."""
    found = PairSet.read(file, require_images=True)
    if found.protocol != protocol:
        raise UsageError(f"the pairs are dealt out by {found.protocol}", "Say it by --protocol, or make other pairs.")
    if images is None:
        raise UsageError("the graph's images are missing", "Say the folder that their paths begin in: --images DIR.")
    with Graph.open() as graph:
        checks.refuse_known(found, graph_studies.graph_images(graph))
        return Data(file.stem, found, read_knowledge(graph), images, lexicon)
