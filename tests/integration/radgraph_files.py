"""A study in RadGraph's form, and a graph that knows its concepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CANARY = "zebrafinch"
EFFUSION, LUNG, EDEMA = "C0032227", "C0024109", "C0034063"
ENTITIES = {
    "1": {
        "tokens": "Pleural effusion", "label": "OBS-DA", "start_ix": 1, "end_ix": 2, "relations": [["located_at", "2"]]
    },
    "2": {"tokens": "left lung", "label": "ANAT-DP", "start_ix": 3, "end_ix": 4, "relations": []},
    "3": {"tokens": "mild", "label": "OBS-DP", "start_ix": 6, "end_ix": 6, "relations": [["modify", "4"]]},
    "4": {"tokens": "edema", "label": "OBS-U", "start_ix": 7, "end_ix": 7, "relations": []},
}  # fmt: skip
STUDY = "p10/p10000032/s50414267.txt"
GRAPHS = {
    STUDY: {"text": f"{CANARY} pleural effusion left lung", "entities": ENTITIES},
    "elsewhere": {"text": f"{CANARY}", "entities": {"1": ENTITIES["2"]}},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    radgraph_path = tmp_path / "radgraph.json"
    radgraph_path.write_text(json.dumps(GRAPHS), encoding="utf-8")
    return radgraph_path
