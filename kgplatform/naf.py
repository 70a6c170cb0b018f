"""Neighbor-aware Filtering (MedMKG §3.4, appendix F.4): score images, explain a score, keep the informative ones.

The computation is Cypher (``cypher/naf/``); this module runs it and returns typed results.
"""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kgplatform import contents, queries
from kgplatform.errors import KgpError, NotFoundError
from kgplatform.graph import Graph, Transaction
from kgplatform.graph_names import image_hint
from kgplatform.spreadsheets import escaped

Method = Literal["algorithm1", "greedy"]


@dataclass(frozen=True)
class NafScores:
    """How many images were scored, and the best of them (`id`, `naf`, `rank`)."""

    images: int
    top: list[dict[str, Any]]


@dataclass(frozen=True)
class Filtered:
    """How many images are kept of all, to cover `concepts` concepts.

    `curve` holds (images kept, concepts covered) at every point where a concept is first covered.
    """

    kept: int
    images: int
    concepts: int
    method: Method
    curve: list[tuple[int, int]]


def score(graph: Graph, *, one_stance: bool = False, top: int = 10) -> NafScores:
    """Write `naf` and `naf_rank` on every image; the same call brings scores up to date after a load.

    NaF(m) = Σ_{(r,c) ∈ N_m} ln(M / |N_(r,c)|); scores equal to 1e-9 are ranked by ascending image id. A pair of image
    and concept with several stances counts once for each, or with `one_stance` for the strongest alone.
    """

    def mark_and_score(transaction: Transaction) -> int:
        transaction.run(queries.get("naf/mark"), one_stance=one_stance)
        [answer] = transaction.run(queries.get("naf/score"), one_stance=one_stance).records
        return int(answer["images"])

    return NafScores(graph.transact(mark_and_score), graph.read(queries.get("naf/top"), limit=top))


def explain(graph: Graph, image: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The image's score and rank, and each pair's contribution, largest first. Raises `NotFoundError`."""
    image_rows = graph.read(queries.get("naf/image"), image=image)
    if not image_rows:
        hint = image_hint(graph, image, "Ids look like I50978146; `kgp naf score` shows some.")
        raise NotFoundError("no image has that id", hint)
    return image_rows[0], graph.read(queries.get("naf/explain"), image=image)


def filter_images(graph: Graph, method: Method = "algorithm1") -> Filtered:
    """Mark with `naf_kept` the images that cover all concepts. Raises `KgpError` when scores are missing or stale.

    ``algorithm1`` keeps every image from the highest score down to the one that completes the cover; ``greedy`` is
    greedy set cover (the image with most uncovered concepts next, ties by rank), which keeps fewer.
    """
    [naf_state] = graph.read(queries.get("naf/state"))
    if not naf_state["current"]:
        problem = "are out of date" if naf_state["scored"] else "have not been computed"
        raise KgpError(f"the NaF scores {problem}", "Run `kgp naf score` first.")
    return _greedy(graph) if method == "greedy" else _algorithm1(graph)


def _algorithm1(graph: Graph) -> Filtered:
    curve, covered_count = [], 0
    for coverage_step in graph.stream(queries.get("naf/coverage")):
        covered_count += coverage_step["concepts"]
        curve.append((coverage_step["rank"], covered_count))
    cutoff_rank = curve[-1][0] if curve else 0
    [answer] = graph.write(queries.get("naf/keep_top"), cutoff=cutoff_rank).records
    return Filtered(cutoff_rank, answer["images"], covered_count, "algorithm1", curve)


def _greedy(graph: Graph) -> Filtered:
    """Lazy greedy: an image's gain only falls, so the top of the heap is re-counted until it is still the best."""
    concepts_by_image: dict[str, set[str]] = {}
    gain_heap: list[tuple[int, int, str]] = []
    for image_row in graph.stream(queries.get("naf/pairs")):
        concepts_by_image[image_row["image"]] = set(image_row["concepts"])
        gain_heap.append((-len(image_row["concepts"]), image_row["rank"], image_row["image"]))
    heapq.heapify(gain_heap)
    covered_concepts: set[str] = set()
    selected_images: list[str] = []
    curve: list[tuple[int, int]] = []
    while gain_heap:
        stored_gain, rank, image_id = heapq.heappop(gain_heap)
        current_gain = -len(concepts_by_image[image_id] - covered_concepts)
        if current_gain == 0:
            continue
        if current_gain != stored_gain:
            heapq.heappush(gain_heap, (current_gain, rank, image_id))
            continue
        covered_concepts |= concepts_by_image[image_id]
        selected_images.append(image_id)
        curve.append((len(selected_images), len(covered_concepts)))
    answer = graph.write(queries.get("naf/keep_listed"), images=selected_images).records
    image_count = answer[0]["images"] if answer else 0
    return Filtered(len(selected_images), image_count, len(covered_concepts), "greedy", curve)


def export_selected(graph: Graph, folder: Path) -> dict[str, int]:
    """Write the filtered graph as ``MedMKG.csv`` and ``image_mapping.csv``, in place of an earlier one in the folder;
    returns rows written to each. Raises `UsageError` where the folder holds other files.
    """
    edge_rows = graph.stream(queries.get("export/kept_edges"))
    image_rows = graph.stream(queries.get("export/kept_images"))
    with contents.result_folder(folder, "kgp naf filter --export", {}, replace=True) as staged_folder:
        return {
            "MedMKG.csv": _write_csv(
                staged_folder / "MedMKG.csv", ["Head", "Relation", "Tail", "Head_Name", "Tail_Name"], edge_rows
            ),
            "image_mapping.csv": _write_csv(staged_folder / "image_mapping.csv", ["IID", "Image_Path"], image_rows),
        }


def _write_csv(csv_path: Path, column_names: Sequence[str], graph_rows: Iterator[dict[str, Any]]) -> int:
    row_count = 0
    with csv_path.open("w", newline="", encoding="utf-8") as csv_file:
        csv_writer = csv.writer(csv_file)
        csv_writer.writerow(column_names)
        for graph_row in graph_rows:
            csv_writer.writerow([escaped(cell_value) for cell_value in graph_row.values()])
            row_count += 1
    return row_count
