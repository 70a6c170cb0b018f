"""Predictions about synthetic nodes, and how they are written."""

from __future__ import annotations

from typing import Any

from kgplatform.graph import Graph
from kgplatform.ingest import LoadReport
from kgplatform.predictions import Prediction, write_predictions

SHA = "ab" * 32
IMAGE, A, B, C = (
    ("Image", "I10000000"),
    ("Concept", "C9900000"),
    ("Concept", "C9900005"),
    ("Concept", "C9900009"),
)
SOME = [
    Prediction(A, "isa", B, 0.75, 1),
    Prediction(A, "finding_site_of", B, 0.5, 2),
    Prediction(IMAGE, "POSITIVE", C, -3.25, 1),
]


def write_some_predictions(
    graph: Graph, rows: Any = SOME, model: str = "transe", sha: str = SHA, **options: Any
) -> LoadReport:
    return write_predictions(graph, rows, model=model, checkpoint_sha256=sha, parameters={"top": 10}, **options)
