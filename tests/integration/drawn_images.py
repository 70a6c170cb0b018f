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
from kgp_loaders.phantom.findings import Kind, RadiographFinding, Severity, Side, View, Zone
from kgp_loaders.phantom.radiograph import render_radiograph
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from kgplatform.search import index
from kgplatform.search.index import Part
from tests import ROOT, fake_encoder
from tests.conftest import CommandResult
from tests.integration.sources import small_rows, write_medmkg

IMAGES, CONCEPTS = 30, 10
KINDS = (Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.CONSOLIDATION, Kind.PACEMAKER)
EMBEDDED = parse_query(
    "t/e",
    "// Embeddings.\nMATCH (n:ImageVector|ConceptVector) WHERE n.embedding IS NOT NULL\n"
    "RETURN coalesce(n.id, n.cui) AS key, n.embedding AS vector, n.embedding_model AS model ORDER BY key",
)


def images_in(folder: Path, count: int = IMAGES) -> Path:
    """Drawn radiographs, `p/0.png` and on."""
    (folder / "p").mkdir(parents=True, exist_ok=True)
    for image_number in range(count):
        findings = (
            [RadiographFinding(KINDS[image_number % len(KINDS)], Side.LEFT, Zone.LOWER, Severity.LARGE)]
            if image_number % 5
            else []
        )
        pixels = render_radiograph(View.FRONTAL, findings, np.random.default_rng(image_number), 64)
        Image.fromarray(pixels).save(folder / "p" / f"{image_number}.png")
    return folder


def ingest_image_graph(graph: Graph, folder: Path, paths: bool = True) -> None:
    """Thirty images with stances to ten concepts, every other with two NEGATIVE ones, and their paths."""
    negative_rows = [
        f"I{10_000_000 + image_number},NEGATIVE,C99{(image_number * 3 + 5) % CONCEPTS:05d},x,x"
        for image_number in range(0, IMAGES, 2)
    ]
    image_mapping = (
        [f"I{10_000_000 + image_index},p/{image_index}.png" for image_index in range(IMAGES)] if paths else None
    )
    ingest(graph, MedMKG.find(write_medmkg(folder, [*small_rows(IMAGES, CONCEPTS), *negative_rows], image_mapping)))


def without_indexes(graph: Graph) -> Graph:
    """The graph, without vector indexes of tests before."""
    for index_part in Part:
        index.drop(graph, index_part)
    return graph


def embedded(graph: Graph) -> dict[str, tuple[NDArray[np.float64], str]]:
    """Vector and model of each node that has them."""
    return {node_row["key"]: (np.array(node_row["vector"]), node_row["model"]) for node_row in graph.read(EMBEDDED)}


def fake_kgp(home: Path, *arguments: Any) -> CommandResult:
    """`kgp` in a separate process, with encoders of tests."""
    import os

    command = [sys.executable, "-m", fake_encoder.__name__, *map(str, arguments)]
    environment = {**os.environ, "KGP_HOME": str(home), "OMP_NUM_THREADS": "1"}
    completed = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return CommandResult(completed.returncode, completed.stdout, completed.stderr)
