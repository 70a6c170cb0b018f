"""Times retrieval's metrics by blocks compared with the plain way: all cosines at once, all of them sorted.

    python -m benchmarks.retrieval.metrics [--count 10000] [--width 512] [--repeats 3]

Each measurement is a separate process, so that its peak memory is its own; `OMP_NUM_THREADS` decides how many cores
multiply matrices. Both ways must give the same figures. The vectors are random, the texts near to their images.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import record
from kgplatform.datasets.pair_metrics import KS, chance, paired_bootstrap, score_retrieval

RESULTS: Final = Path(__file__).parent / "results"

SEED = 42


def vectors(count: int, width: int) -> tuple[Any, Any, Any]:
    """Images, texts and groups; every tenth text is shared by two images."""
    generator = np.random.default_rng(SEED)
    images = generator.normal(size=(count, width)).astype(np.float32)
    texts = (images + 4.5 * generator.normal(size=images.shape)).astype(np.float32)
    groups = np.arange(count)
    groups[::10] = np.minimum(groups[::10] + 1, count - 1)
    return images, texts, groups


def _score_full_matrix(texts: Any, images: Any, groups: Any) -> dict[str, float]:
    """The whole matrix of cosines in single precision, all of it sorted."""
    text_directions, image_directions = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (texts, images))
    image_order = np.argsort(-(text_directions @ image_directions.T), axis=1)
    relevant = groups[image_order] == groups[:, None]
    relevant_counts = relevant.sum(axis=1)
    hits = {cutoff: relevant[:, :cutoff].sum(axis=1) for cutoff in KS}
    ranks = 1 + relevant.argmax(axis=1)
    figures = {f"P@{cutoff}": float((hits[cutoff] / cutoff).mean()) for cutoff in KS} | {
        f"R@{cutoff}": float((hits[cutoff] / relevant_counts).mean()) for cutoff in KS
    }
    return figures | {"MRR": float((1 / ranks).mean()), "median rank": float(np.median(ranks))}


def _measure(library: str, count: int, width: int) -> dict[str, Any]:
    """Seconds and peak memory of one way, in this process; the memory that the vectors take is in it."""
    images, texts, groups = vectors(count, width)
    memory_before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start_time = time.perf_counter()
    figures = (
        _score_full_matrix(texts, images, groups)
        if library == "plain"
        else score_retrieval(texts, images, groups, groups).means()
    )
    seconds = time.perf_counter() - start_time
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mib": peak_mib, "peak_before_mib": memory_before_mib, "figures": figures}


def bootstrap_seconds(count: int) -> float:
    """How long 10,000 samples of as many queries take."""
    _, _, groups = vectors(count, 1)
    figures = chance(groups, groups).at("R@10") + np.random.default_rng(SEED).random(count)
    start_time = time.perf_counter()
    paired_bootstrap(figures, np.zeros(count))
    return time.perf_counter() - start_time


def measure_in_process(library: str, count: int, width: int) -> dict[str, Any]:
    """`measure` in a separate process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.retrieval.metrics",
        "--way",
        library,
        "--count",
        str(count),
        "--width",
        str(width),
    ]
    completed_run = subprocess.run(command, capture_output=True, text=True, check=True)
    measurement: dict[str, Any] = json.loads(completed_run.stdout)
    return measurement


def main() -> None:
    """Measure both ways in turn, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="images, and as many texts")
    parser.add_argument("--width", type=int, default=512, help="of the vectors")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=("blocks", "plain"), help="measure this way alone, in this process")
    arguments = parser.parse_args()
    count, width = arguments.count, arguments.width
    if arguments.way:
        json.dump(_measure(arguments.way, count, width), sys.stdout)
        return
    runs_by_method: dict[str, list[dict[str, Any]]] = {"blocks": [], "plain": []}
    for _ in range(arguments.repeats):
        for method, method_runs in runs_by_method.items():
            method_runs.append(measure_in_process(method, count, width))
    figures = {method: method_runs[0]["figures"] for method, method_runs in runs_by_method.items()}
    difference = max(
        abs(figures["blocks"][figure_name] - figures["plain"][figure_name]) for figure_name in figures["blocks"]
    )
    document = {
        "context": record.context(SEED),
        "count": count,
        "width": width,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "ways": {
            method: {
                "seconds": statistics.median(method_run["seconds"] for method_run in method_runs),
                "all_seconds": [method_run["seconds"] for method_run in method_runs],
                "peak_mib": max(method_run["peak_mib"] for method_run in method_runs),
                "vectors_mib": method_runs[0]["peak_before_mib"],
            }
            for method, method_runs in runs_by_method.items()
        },
        "bootstrap_seconds": bootstrap_seconds(count),
        "figures": figures["blocks"],
        "largest_difference": difference,
    }
    result_path = record.store(RESULTS / "retrieval_metrics.json", document)
    for method, method_result in document["ways"].items():
        print(
            f"{method}: {method_result['seconds']:.1f} s, peak {method_result['peak_mib']:,.0f} MiB "
            f"({method_result['vectors_mib']:,.0f} before)"
        )
    print(f"bootstrap: {document['bootstrap_seconds']:.1f} s; largest difference {difference:.1e}; {result_path}")


if __name__ == "__main__":
    main()
