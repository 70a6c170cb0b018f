"""Reports in RadGraph's form, written and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kgp_loaders.radgraph import RadGraph, ReportGraph, read_report_graphs
from kgplatform.batches import GraphBatch, Reject
from kgplatform.survey import validate_batch

STUDY = "p10/p10000032/s50414267.txt"
CANARY = "zebrafinch"


def radgraph_entity(**changes: Any) -> dict[str, Any]:
    """An entity."""
    return {"tokens": "effusion", "label": "OBS-DP", "start_ix": 1, "end_ix": 1, "relations": [], **changes}


def radgraph_report(**entities: Any) -> dict[str, Any]:
    """A graph of these entities; `e1` stands for id 1."""
    entity_records = {argument.removeprefix("e"): entity for argument, entity in entities.items()}
    return {
        "text": f"{CANARY} effusion .",
        "entities": entity_records,
        "data_source": "MIMIC-CXR",
        "data_split": "train",
    }


def write_graphs(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read_graphs(path: Path, labeler: int = 1) -> list[ReportGraph]:
    records = list(read_report_graphs(path, labeler))
    assert not [record for record in records if isinstance(record, Reject)]
    return [record for record in records if isinstance(record, ReportGraph)]


def merged_batch(source: RadGraph, size: int = 10_000) -> GraphBatch:
    """All batches as one."""
    all_batches = GraphBatch(stated_edges=0)
    for batch in source.batches(size):
        validate_batch(batch, source)
        assert batch.stated_edges == len(batch.edges) == batch.asserted
        all_batches.read += batch.read
        all_batches.nodes |= batch.nodes
        all_batches.edges |= batch.edges
        all_batches.rejects += batch.rejects
    return all_batches
