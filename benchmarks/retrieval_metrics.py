"""Times retrieval's metrics by blocks beside the plain way: all cosines at once, all of them sorted.

    python benchmarks/retrieval_metrics.py [--count 10000] [--width 512] [--repeats 3]

Each measurement is a process of its own, so that its peak memory is its own; `OMP_NUM_THREADS` decides how many cores
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
from typing import Any

import numpy as np
import record

from kgplatform.retrieval.metrics import KS, chance, paired_bootstrap, score

SEED = 42


def vectors(count: int, width: int) -> tuple[Any, Any, Any]:
    """Images, texts and groups; every tenth text is shared by two images."""
    rng = np.random.default_rng(SEED)
    images = rng.normal(size=(count, width)).astype(np.float32)
    texts = (images + 4.5 * rng.normal(size=images.shape)).astype(np.float32)
    groups = np.arange(count)
    groups[::10] = np.minimum(groups[::10] + 1, count - 1)
    return images, texts, groups


def plain(texts: Any, images: Any, groups: Any) -> dict[str, float]:
    """The whole matrix of cosines in single precision, all of it sorted."""
    left, right = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (texts, images))
    order = np.argsort(-(left @ right.T), axis=1)
    relevant = groups[order] == groups[:, None]
    total = relevant.sum(axis=1)
    hits = {k: relevant[:, :k].sum(axis=1) for k in KS}
    ranks = 1 + relevant.argmax(axis=1)
    found = {f"P@{k}": float((hits[k] / k).mean()) for k in KS} | {
        f"R@{k}": float((hits[k] / total).mean()) for k in KS
    }
    return found | {"MRR": float((1 / ranks).mean()), "median rank": float(np.median(ranks))}


def measure(way: str, count: int, width: int) -> dict[str, Any]:
    """Seconds and peak memory of one way, in this process; the memory that the vectors take is in it."""
    images, texts, groups = vectors(count, width)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    found = plain(texts, images, groups) if way == "plain" else score(texts, images, groups, groups).means()
    taken = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": taken, "peak_mib": peak, "peak_before_mib": before, "figures": found}


def bootstrap_seconds(count: int) -> float:
    """How long 10,000 samples of as many queries take."""
    _, _, groups = vectors(count, 1)
    figures = chance(groups, groups).at("R@10") + np.random.default_rng(SEED).random(count)
    started = time.perf_counter()
    paired_bootstrap(figures, np.zeros(count))
    return time.perf_counter() - started


def apart(way: str, count: int, width: int) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--count", str(count), "--width", str(width)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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
        json.dump(measure(arguments.way, count, width), sys.stdout)
        return
    each: dict[str, list[dict[str, Any]]] = {"blocks": [], "plain": []}
    for _ in range(arguments.repeats):
        for way, found in each.items():
            found.append(apart(way, count, width))
    figures = {way: found[0]["figures"] for way, found in each.items()}
    difference = max(abs(figures["blocks"][name] - figures["plain"][name]) for name in figures["blocks"])
    document = {
        "context": record.context(SEED),
        "count": count,
        "width": width,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "ways": {
            way: {
                "seconds": statistics.median(one["seconds"] for one in found),
                "all_seconds": [one["seconds"] for one in found],
                "peak_mib": max(one["peak_mib"] for one in found),
                "vectors_mib": found[0]["peak_before_mib"],
            }
            for way, found in each.items()
        },
        "bootstrap_seconds": bootstrap_seconds(count),
        "figures": figures["blocks"],
        "largest_difference": difference,
    }
    path = record.store("retrieval_metrics", document)
    for way, row in document["ways"].items():
        print(f"{way}: {row['seconds']:.1f} s, peak {row['peak_mib']:,.0f} MiB ({row['vectors_mib']:,.0f} before)")
    print(f"bootstrap: {document['bootstrap_seconds']:.1f} s; largest difference {difference:.1e}; {path}")


if __name__ == "__main__":
    main()
