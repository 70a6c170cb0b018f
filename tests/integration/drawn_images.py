"""A small graph with images on disk, for embedding and search."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.phantom.findings import Kind, Severity, Shown, Side, View, Zone
from kgp_loaders.phantom.radiograph import draw
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.retrieval import index
from kgplatform.retrieval.index import Part
from tests import fake_encoder
from tests.conftest import Ran
from tests.integration.sources import small_rows, write_medmkg

IMAGES, CONCEPTS = 30, 10
KINDS = (Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.CONSOLIDATION, Kind.PACEMAKER)
EMBEDDED = parse(
    "t/e",
    "// Embeddings.\nMATCH (n:ImageVector|ConceptVector) WHERE n.embedding IS NOT NULL\n"
    "RETURN coalesce(n.id, n.cui) AS key, n.embedding AS vector, n.embedding_model AS model ORDER BY key",
)


def images_in(folder: Path, count: int = IMAGES) -> Path:
    """Drawn radiographs, `p/0.png` and on."""
    (folder / "p").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        shown = [Shown(KINDS[number % len(KINDS)], Side.LEFT, Zone.LOWER, Severity.LARGE)] if number % 5 else []
        pixels = draw(View.FRONTAL, shown, np.random.default_rng(number), 64)
        Image.fromarray(pixels).save(folder / "p" / f"{number}.png")
    return folder


def load(graph: Graph, folder: Path, paths: bool = True) -> None:
    """Thirty images with stances to ten concepts, every other with two NEGATIVE ones, and their paths."""
    more = [f"I{10_000_000 + n},NEGATIVE,C99{(n * 3 + 5) % CONCEPTS:05d},x,x" for n in range(0, IMAGES, 2)]
    mapping = [f"I{10_000_000 + number},p/{number}.png" for number in range(IMAGES)] if paths else None
    ingest(graph, MedMKG.find(write_medmkg(folder, [*small_rows(IMAGES, CONCEPTS), *more], mapping)))


def without_indexes(graph: Graph) -> Graph:
    """The graph, without vector indexes of tests before."""
    for part in Part:
        index.drop(graph, part)
    return graph


def embedded(graph: Graph) -> dict[str, tuple[NDArray[np.float64], str]]:
    """Vector and model of each node that has them."""
    return {row["key"]: (np.array(row["vector"]), row["model"]) for row in graph.read(EMBEDDED)}


def fake_kgp(home: Path, *arguments: Any) -> Ran:
    """`kgp` in a process of its own, with encoders of tests."""
    import os

    command = [sys.executable, "-m", fake_encoder.__name__, *map(str, arguments)]
    environment = {**os.environ, "KGP_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
