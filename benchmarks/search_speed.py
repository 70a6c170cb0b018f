"""How quickly images are found by text, by concept and by both, and how many of the nearest ones, beside numpy.

    python benchmarks/search_speed.py [--images 100000] [--queries 200]

A synthetic graph on a server of its own: images whose vectors of 512 dimensions lie in clusters around 2,000 centres
(and, as real embeddings do, in a cone), with POSITIVE stances to 300 concepts, the commonest on 30 % of the images,
each at home in some of the clusters; loaded by `ingest`, embedded by `embed` with an encoder that knows the vectors,
scored by NaF. Then a warm `Searcher`, query by query, and the same from memory in numpy, which has no graph to ask:
exact cosines to all images, or to those of a concept. The round trip is in it; encoding a text comes on top and is
measured beside it, by the encoders that come with packages.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import record
from numpy.typing import NDArray

from kgplatform import naf, server
from kgplatform.batches import GraphBatch
from kgplatform.cli.output import note
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.retrieval import search as product
from kgplatform.retrieval.embed import embed
from kgplatform.retrieval.index import BUILT, Part
from kgplatform.retrieval.search import Found, Searcher
from kgplatform.settings import Settings

SEED: Final = 42
WIDTH, CENTRES, CONCEPTS, COMMONEST = 512, 2_000, 300, 0.3
CONE, SPREAD, FARTHER = 0.8, 0.7, 0.9  # of all vectors together, of a cluster, of texts around it
TOP, WARM_UP = 10, 20
RULED_OUT: Final = 0.2  # share of the images that have the concept which is the contrary of a text
ENCODERS: Final = ("small", "minilm")
TEXTS: Final = (
    "large left pleural effusion",
    "collapsed lung",
    "There is a small right apical pneumothorax, unchanged from the prior study. No focal consolidation.",
)
RARE, MIDDLE, COMMON = CONCEPTS, 10, 1  # ranks of concepts by their number of images

Vectors = NDArray[np.float32]


class Synthetic:
    """The images, their vectors and concepts; a `kgplatform.batches.Source`, and an `Encoder` that knows the vectors.

    `texts` takes numbers of queries and of concepts as they were written into the graph.
    """

    kind, version = "synthetic", 1
    name, sha256, width, sees = "synthetic-1", "5e" * 32, WIDTH, True

    def __init__(self, folder: Path, images: int, queries: int) -> None:
        rng = np.random.default_rng(SEED)
        self._cone = _unit(rng.normal(size=(1, WIDTH)))
        self._centres = _unit(rng.normal(size=(CENTRES, WIDTH)))
        self._rng = rng
        self.cluster = rng.integers(0, CENTRES, images)
        self.of_query = rng.integers(0, CENTRES, queries)
        self.vectors = self._around(self.cluster, SPREAD)
        self.queries = self._around(self.of_query, FARTHER)
        self._names = self._around(rng.integers(0, CENTRES, CONCEPTS + 1), SPREAD)
        share = COMMONEST / np.arange(1, CONCEPTS + 1)
        self.home = rng.random((CONCEPTS, CENTRES)) < 2 * share[:, None]
        has = self.home[:, self.cluster] & (rng.random((CONCEPTS, images)) < 0.5)
        axis = _unit(rng.normal(size=(1, WIDTH)))[0]  # what the texts of the worst case say, and a concept rules out
        along = self.vectors @ axis
        self.has = np.vstack([has, along < np.quantile(along, RULED_OUT)])
        self.saying = _unit((self.queries + 2 * axis).astype(float))
        self.folder = folder
        for part in range(0, images, 1000):
            (folder / str(part)).mkdir(parents=True)
        for number in range(images):
            (folder / self.path(number)).touch()
        (folder / "name").write_text("synthetic", encoding="utf-8")
        self.files: tuple[Path, ...] = (folder / "name",)
        self.parameters: Mapping[str, Any] = {"images": images}

    def _around(self, clusters: NDArray[np.int64], spread: float) -> Vectors:
        noise = self._rng.normal(size=(len(clusters), WIDTH)) / np.sqrt(WIDTH)
        return _unit(CONE * self._cone + self._centres[clusters] + spread * noise)

    def path(self, number: int) -> str:
        """An empty file, so that the product finds one."""
        return f"{number // 1000 * 1000}/{number}.png"

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Images with their stances."""
        for start in range(0, len(self.vectors), 1000):
            batch = GraphBatch()
            for number in range(start, min(start + 1000, len(self.vectors))):
                batch.nodes["Image", f"I{number}"] = {"path": self.path(number)}
                for concept in np.flatnonzero(self.has[:, number]):
                    head, tail = ("Image", f"I{number}"), ("Concept", cui(int(concept)))
                    batch.nodes[tail] = {"name": f"concept {concept}"}
                    batch.edges[head, "POSITIVE", tail] = {}
            batch.read = len(batch.edges)
            yield batch

    def images(self, paths: Sequence[Path]) -> Vectors:
        """Their vectors, by the number in the name."""
        return self.vectors[[int(path.stem) for path in paths]]

    def texts(self, texts: Sequence[str]) -> Vectors:
        """``query N``, ``saying N`` and ``concept N``."""
        known = {"query": self.queries, "saying": self.saying, "concept": self._names}
        return np.array([known[text.split()[0]][int(text.split()[1])] for text in texts])


def _unit(vectors: NDArray[np.float64]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cui(concept: int) -> str:
    """The CUI of a concept by its number, from 0."""
    return f"C{concept:07d}"


def exact(data: Synthetic, query: Vectors, concept: int | None) -> list[str]:
    """The nearest images of all, or of those that have the concept, by numpy: the rival, and what is right."""
    if concept is None:
        similar = data.vectors @ query
        best = np.argpartition(-similar, TOP)[:TOP]
        return [f"I{n}" for n in best[np.argsort(-similar[best])]]
    those = np.flatnonzero(data.has[concept])
    similar = data.vectors[those] @ query
    return [f"I{those[n]}" for n in np.argsort(-similar)[:TOP]]


def timed(work: Callable[[int], Any], numbers: Sequence[int]) -> tuple[list[Any], dict[str, float]]:
    """What each query gives, and median and 95th percentile in ms, after some that do not count."""
    for number in list(numbers)[:WARM_UP]:
        work(number)
    found, taken = [], []
    for number in numbers:
        began = time.perf_counter()
        found.append(work(number))
        taken.append((time.perf_counter() - began) * 1000)
    return found, {"median_ms": statistics.median(taken), "p95_ms": float(np.percentile(taken, 95))}


def measure(searcher: Searcher, data: Synthetic, queries: int) -> dict[str, Any]:
    """Each way of searching."""
    measured: dict[str, Any] = {}

    def row(what: str, ask: Callable[[int], Found], truth: Callable[[int], list[str]] | None, asked: list[int]) -> None:
        found, times = timed(ask, asked)
        measured[what] = {"queries": len(asked), **times}
        if truth is not None:
            right, rival = timed(truth, asked)
            same = [
                len({hit.id for hit in one.hits} & set(best)) / len(best)
                for one, best in zip(found, right, strict=True)
            ]
            measured[what] |= {"recall_at_10": statistics.mean(same), "numpy_median_ms": rival["median_ms"]}
        note(f"{what}: {measured[what]}")

    every = list(range(queries))
    row("text", lambda q: searcher.search(f"query {q}"), lambda q: exact(data, data.queries[q], None), every)
    for name, rank in (("rare", RARE), ("middle", MIDDLE), ("common", COMMON)):
        concept = rank - 1
        label = f"{name} concept, {int(data.has[concept].sum()):,} images"
        row(label, lambda q, c=concept: searcher.search(concepts=[cui(c)]), None, every)  # type: ignore[misc]
        row(
            f"text and {label}",
            lambda q, c=concept: searcher.search(f"query {q}", concepts=[cui(c)]),  # type: ignore[misc]
            lambda q, c=concept: exact(data, data.queries[q], c),  # type: ignore[misc]
            every,
        )
    common = COMMON - 1
    far = [q for q in every if not data.home[common, data.of_query[q]]]
    row(
        "text and common concept, which the text's own cluster lacks",
        lambda q: searcher.search(f"query {q}", concepts=[cui(common)]),
        lambda q: exact(data, data.queries[q], common),
        far,
    )
    row(
        f"worst case: text whose contrary is the concept, {int(data.has[CONCEPTS].sum()):,} images",
        lambda q: searcher.search(f"saying {q}", concepts=[cui(CONCEPTS)]),
        lambda q: exact(data, data.saying[q], CONCEPTS),
        every[:50],
    )
    row("text, by concepts", lambda q: searcher.search(f"query {q}", by=Part.CONCEPTS), None, every)
    return measured


def encoding(queries: int) -> dict[str, dict[str, float]]:
    """How long a warm encoder takes for one text."""
    from kgp_models.retrieval.encode import open_encoder

    measured = {}
    for spec in ENCODERS:
        encoder = open_encoder(spec)
        _, measured[spec] = timed(lambda q, of=encoder: of.texts([TEXTS[q % len(TEXTS)]]), range(queries))  # type: ignore[misc]
        note(f"encoding a text, {spec}: {measured[spec]}")
    return measured


def run(images: int, queries: int) -> dict[str, Any]:
    """Load, embed and search on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        if (shared := Settings.from_env().cache).is_dir():
            (home / "cache").symlink_to(shared)  # the server's jars
        data = Synthetic(Path(scratch) / "images", images, queries)
        settings = Settings(home=home)
        server.start(settings)
        try:
            with Graph.open(settings) as graph:
                report = ingest(graph, data)
                note(f"{report.rows.written:,} stances")
                before = _size(settings.server_home)
                outcome = embed(graph, data, images=data.folder)
                note(f"embedded in {outcome.images.seconds:.0f} s, indexed in {outcome.indexing:.0f} s")
                after = _size(settings.server_home)
                naf.score(graph)
                searcher = Searcher(graph, lambda: data)
                measured = measure(searcher, data, queries)
        finally:
            server.stop(settings)
    return {
        "images": images,
        "dimensions": WIDTH,
        "stances": report.rows.written,
        "index": dict(BUILT),
        "asked": product.ASKED,
        "compared": product.COMPARED,
        "spare": product.SPARE,
        "embedding": {
            "images_per_second": images / outcome.images.seconds,
            "index_seconds": outcome.indexing,
            "disk_mib": (after - before) / 2**20,
        },
        "measured": measured,
        "encoding": encoding(queries),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "data" / "databases").rglob("*") if path.is_file())


def markdown(document: dict[str, Any]) -> str:
    """The result as a table."""
    found, embedding = document["result"], document["result"]["embedding"]
    lines = [
        f"{found['images']:,} images, {found['dimensions']} dimensions, {found['stances']:,} stances; written at "
        f"{embedding['images_per_second']:,.0f} images/s, index built in {embedding['index_seconds']:.0f} s, "
        f"{embedding['disk_mib']:,.0f} MiB on disk.",
        "",
        "| search | queries | median, ms | p95, ms | recall@10 | numpy, exact: median, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in found["measured"].items():
        recall, rival = (row.get(key) for key in ("recall_at_10", "numpy_median_ms"))
        told = f"{'' if recall is None else f'{recall:.4f}'} | {'' if rival is None else f'{rival:.1f}'}"
        lines.append(f"| {name} | {row['queries']} | {row['median_ms']:.1f} | {row['p95_ms']:.1f} | {told} |")
    lines += ["", "| encoding a text | median, ms | p95, ms |", "|---|---:|---:|"]
    lines += [f"| `{spec}` | {row['median_ms']:.1f} | {row['p95_ms']:.1f} |" for spec, row in found["encoding"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--name", default="search_speed", help="name of the result")
    arguments = parser.parse_args()
    document = {"context": record.context(SEED), "result": run(arguments.images, arguments.queries)}
    path = record.store(arguments.name, document)
    path.with_suffix(".md").write_text(markdown(document), encoding="utf-8")
    print(markdown(document))


if __name__ == "__main__":
    main()
