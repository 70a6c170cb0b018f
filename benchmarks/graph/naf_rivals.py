"""The rivals of NaF: the same scores from memory, in pandas and in numpy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

STANCES = ("POSITIVE", "NEGATIVE", "UNCERTAIN")


def stance_columns(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Images, stances and concepts of the edges with a stance."""
    with (folder / "MedMKG.csv").open(newline="", encoding="utf-8") as csv_file:
        stance_edges = [
            (edge_row[0], edge_row[1], edge_row[2]) for edge_row in csv.reader(csv_file) if edge_row[1] in STANCES
        ]
    heads, relations, tails = (list(column) for column in zip(*stance_edges, strict=True))
    return heads, relations, tails


def naf_pandas(heads: list[str], relations: list[str], tails: list[str]) -> Any:
    """NaF from memory in pandas."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"image": heads, "relation": relations, "concept": tails})
    sharing_counts = frame.groupby(["relation", "concept"])["image"].transform("size")
    log_terms = np.log(frame["image"].nunique() / sharing_counts)
    return log_terms.groupby(frame["image"]).sum().sort_values(ascending=False)


def naf_numpy(heads: list[str], relations: list[str], tails: list[str]) -> Any:
    """NaF from memory in numpy."""
    import numpy as np

    _, image_index = np.unique(np.array(heads), return_inverse=True)
    _, relation_index = np.unique(np.array(relations), return_inverse=True)
    _, concept_index = np.unique(np.array(tails), return_inverse=True)
    pair_index = concept_index * 4 + relation_index
    sharing_counts = np.bincount(pair_index)
    image_count = image_index.max() + 1
    return np.bincount(image_index, weights=np.log(image_count / sharing_counts[pair_index]), minlength=image_count)
