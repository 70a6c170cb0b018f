"""How quickly images are found by text, by concept and by both, and how many of the nearest ones, compared with numpy.

    python -m benchmarks.graph.search_speed [--images 100000] [--queries 200]

A synthetic graph on a separate server: images whose vectors of 512 dimensions are in clusters around 2,000 centres
(and, as real embeddings do, in a cone), with POSITIVE stances to 300 concepts, the commonest on 30 % of the images,
each at home in some of the clusters; loaded by `ingest`, embedded by `embed` with an encoder that knows the vectors,
scored by NaF. Then a warm `Searcher`, query by query, and the same from memory in numpy, which has no graph to ask:
exact cosines to all images, or to those of a concept. The round trip is in it; encoding a text comes on top and is
measured next to it, by the encoders that come with packages.
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
from numpy.typing import NDArray

from benchmarks.harness import record
from benchmarks.harness.own_graph import own_graph
from kgplatform.batches import GraphBatch
from kgplatform.cli.output import note
from kgplatform.errors import UsageError
from kgplatform.ingest import ingest
from kgplatform.search import search as product
from kgplatform.search.encoder import Reading
from kgplatform.search.index import BUILT, Part
from kgplatform.search.search import Searcher, SearchResult
from kgplatform.settings import Settings
from kgplatform.trained_on import UNKNOWN

SEED: Final = 42
WIDTH, CENTRES, CONCEPTS, COMMONEST = 512, 2_000, 300, 0.3
CONE, SPREAD, FARTHER = 0.8, 0.7, 0.9  # of all vectors together, of a cluster, of texts around it
TOP, WARM_UP = 10, 20
RULED_OUT: Final = 0.2  # share of the images that have the concept that contradicts a text
ENCODERS: Final = ("small", "minilm")
TEXTS: Final = (
    "large left pleural effusion",
    "collapsed lung",
    "There is a small right apical pneumothorax, unchanged from the prior study. No focal consolidation.",
)

RESULTS: Final = Path(__file__).parent / "results"
RARE, MIDDLE, COMMON = CONCEPTS, 10, 1  # ranks of concepts by their number of images

Vectors = NDArray[np.float32]


class Synthetic:
    """The images, their vectors and concepts; a `kgplatform.batches.Source`, and an `Encoder` that knows the vectors.

    `texts` takes numbers of queries and of concepts as they were written into the graph.
    """

    kind, version = "synthetic", 1
    name, sha256, width, sees = "synthetic-1", "5e" * 32, WIDTH, True
    trained_on = UNKNOWN

    def __init__(self, folder: Path, images: int, queries: int) -> None:
        generator = np.random.default_rng(SEED)
        self._cone = _unit(generator.normal(size=(1, WIDTH)))
        self._centres = _unit(generator.normal(size=(CENTRES, WIDTH)))
        self._rng = generator
        self.cluster = generator.integers(0, CENTRES, images)
        self.query_cluster = generator.integers(0, CENTRES, queries)
        self.vectors = self._around(self.cluster, SPREAD)
        self.queries = self._around(self.query_cluster, FARTHER)
        self._names = self._around(generator.integers(0, CENTRES, CONCEPTS + 1), SPREAD)
        concept_shares = COMMONEST / np.arange(1, CONCEPTS + 1)
        self.home = generator.random((CONCEPTS, CENTRES)) < 2 * concept_shares[:, None]
        has_concept = self.home[:, self.cluster] & (generator.random((CONCEPTS, images)) < 0.5)
        axis = _unit(generator.normal(size=(1, WIDTH)))[
            0
        ]  # what the texts of the worst case say, and a concept rules out
        axis_products = self.vectors @ axis
        self.has = np.vstack([has_concept, axis_products < np.quantile(axis_products, RULED_OUT)])
        self.saying = _unit((self.queries + 2 * axis).astype(float))
        self.folder = folder
        for first_number in range(0, images, 1000):
            (folder / str(first_number)).mkdir(parents=True)
        for image_number in range(images):
            (folder / self.path(image_number)).touch()
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
        for first_number in range(0, len(self.vectors), 1000):
            batch = GraphBatch()
            for image_number in range(first_number, min(first_number + 1000, len(self.vectors))):
                batch.nodes["Image", f"I{image_number}"] = {"path": self.path(image_number)}
                for concept in np.flatnonzero(self.has[:, image_number]):
                    head, tail = ("Image", f"I{image_number}"), ("Concept", cui(int(concept)))
                    batch.nodes[tail] = {"name": f"concept {concept}"}
                    batch.edges[head, "POSITIVE", tail] = {}
            batch.read = len(batch.edges)
            yield batch

    def images(self, paths: Sequence[Path]) -> Vectors:
        """Their vectors, by the number in the name."""
        return self.vectors[[int(image_path.stem) for image_path in paths]]

    def texts(self, texts: Sequence[str]) -> Vectors:
        """``query N``, ``saying N`` and ``concept N``."""
        vectors_by_kind = {"query": self.queries, "saying": self.saying, "concept": self._names}
        return np.array([vectors_by_kind[text.split()[0]][int(text.split()[1])] for text in texts])

    def reading(self, text: str) -> Reading:
        """A text is read as a whole, whatever its length."""
        word_count = len(text.split())
        return Reading(word_count, word_count, (text,))


def _unit(vectors: NDArray[np.float64]) -> Vectors:
    unit_vectors: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit_vectors


def cui(concept: int) -> str:
    """The CUI of a concept by its number, from 0."""
    return f"C{concept:07d}"


def exact(data: Synthetic, query: Vectors, concept: int | None) -> list[str]:
    """The nearest images of all, or of those that have the concept, by numpy: the rival, and what is right."""
    if concept is None:
        similarities = data.vectors @ query
        best_indices = np.argpartition(-similarities, TOP)[:TOP]
        return [f"I{index}" for index in best_indices[np.argsort(-similarities[best_indices])]]
    concept_images = np.flatnonzero(data.has[concept])
    similarities = data.vectors[concept_images] @ query
    return [f"I{concept_images[index]}" for index in np.argsort(-similarities)[:TOP]]


def _time_queries(work: Callable[[int], Any], numbers: Sequence[int]) -> tuple[list[Any], dict[str, float]]:
    """What each query gives, and median and 95th percentile in ms, after some that do not count."""
    for query_number in list(numbers)[:WARM_UP]:
        work(query_number)
    results, milliseconds = [], []
    for query_number in numbers:
        start_time = time.perf_counter()
        results.append(work(query_number))
        milliseconds.append((time.perf_counter() - start_time) * 1000)
    return results, {"median_ms": statistics.median(milliseconds), "p95_ms": float(np.percentile(milliseconds, 95))}


def _measure(searcher: Searcher, data: Synthetic, queries: int) -> dict[str, Any]:
    """Each way of searching."""
    measurements: dict[str, Any] = {}

    def row(
        search_label: str,
        run_search: Callable[[int], SearchResult],
        run_exact: Callable[[int], list[str]] | None,
        query_numbers: list[int],
    ) -> None:
        search_results, times = _time_queries(run_search, query_numbers)
        measurements[search_label] = {"queries": len(query_numbers), **times}
        if run_exact is not None:
            exact_results, exact_times = _time_queries(run_exact, query_numbers)
            shared_shares = [
                len({hit.id for hit in result.hits} & set(exact_ids)) / len(exact_ids)
                for result, exact_ids in zip(search_results, exact_results, strict=True)
            ]
            measurements[search_label] |= {
                "recall_at_10": statistics.mean(shared_shares),
                "numpy_median_ms": exact_times["median_ms"],
            }
        note(f"{search_label}: {measurements[search_label]}")

    all_numbers = list(range(queries))
    row(
        "text",
        lambda number: searcher.search(f"query {number}"),
        lambda number: exact(data, data.queries[number], None),
        all_numbers,
    )
    for rank_name, rank in (("rare", RARE), ("middle", MIDDLE), ("common", COMMON)):
        concept_number = rank - 1
        label = f"{rank_name} concept, {int(data.has[concept_number].sum()):,} images"
        row(
            label,
            lambda number, bound_concept=concept_number: searcher.search(concepts=[cui(bound_concept)]),  # type: ignore[misc]
            None,
            all_numbers,
        )
        row(
            f"text and {label}",
            lambda number, bound_concept=concept_number: searcher.search(  # type: ignore[misc]
                f"query {number}", concepts=[cui(bound_concept)]
            ),
            lambda number, bound_concept=concept_number: exact(data, data.queries[number], bound_concept),  # type: ignore[misc]
            all_numbers,
        )
    common_concept = COMMON - 1
    distant_numbers = [number for number in all_numbers if not data.home[common_concept, data.query_cluster[number]]]
    row(
        "text and common concept, which the text's own cluster lacks",
        lambda number: searcher.search(f"query {number}", concepts=[cui(common_concept)]),
        lambda number: exact(data, data.queries[number], common_concept),
        distant_numbers,
    )
    row(
        f"worst case: text whose contrary is the concept, {int(data.has[CONCEPTS].sum()):,} images",
        lambda number: searcher.search(f"saying {number}", concepts=[cui(CONCEPTS)]),
        lambda number: exact(data, data.saying[number], CONCEPTS),
        all_numbers[:50],
    )
    row("text, by concepts", lambda number: searcher.search(f"query {number}", by=Part.CONCEPTS), None, all_numbers)
    return measurements


def encoding(queries: int) -> dict[str, dict[str, float]]:
    """How long a warm encoder takes for one text."""
    from kgp_models.retrieval.encode import open_encoder

    measurements = {}
    for encoder_spec in ENCODERS:
        encoder = open_encoder(encoder_spec)
        _, measurements[encoder_spec] = _time_queries(
            lambda number, bound_encoder=encoder: bound_encoder.texts([TEXTS[number % len(TEXTS)]]),  # type: ignore[misc]
            range(queries),
        )
        note(f"encoding a text, {encoder_spec}: {measurements[encoder_spec]}")
    return measurements


def _run_search(images: int, queries: int) -> dict[str, Any]:
    """Load, embed and search on a separate server."""
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as scratch_folder:
        settings = Settings(home=Path(scratch_folder) / "home")
        data = Synthetic(Path(scratch_folder) / "images", images, queries)
        if not data.has[RARE - 1].any():
            raise UsageError(f"of {images:,} images none has the rarest concept", "Give more: --images.")
        with own_graph(settings.home) as graph:
            report = ingest(graph, data)
            note(f"{report.rows.written:,} stances")
            bytes_before = _size(settings.server_home)
            outcome = graph.embed(data, images=data.folder)
            note(f"embedded in {outcome.images.seconds:.0f} s, indexed in {outcome.indexing:.0f} s")
            bytes_after = _size(settings.server_home)
            graph.naf.score(top=0)
            searcher = Searcher(graph, lambda: data)
            measurements = _measure(searcher, data, queries)
    return {
        "images": images,
        "dimensions": WIDTH,
        "stances": report.rows.written,
        "index": dict(BUILT),
        "asked": product.CANDIDATES,
        "compared": product.COMPARED,
        "spare": product.SPARE,
        "embedding": {
            "images_per_second": images / outcome.images.seconds,
            "index_seconds": outcome.indexing,
            "disk_mib": (bytes_after - bytes_before) / 2**20,
        },
        "measured": measurements,
        "encoding": encoding(queries),
    }


def _size(folder: Path) -> int:
    return sum(
        file_path.stat().st_size for file_path in (folder / "data" / "databases").rglob("*") if file_path.is_file()
    )


def _markdown(document: dict[str, Any]) -> str:
    """The result as a table."""
    results, embedding = document["result"], document["result"]["embedding"]
    table_lines = [
        f"{results['images']:,} images, {results['dimensions']} dimensions, {results['stances']:,} stances; written at "
        f"{embedding['images_per_second']:,.0f} images/s, index built in {embedding['index_seconds']:.0f} s, "
        f"{embedding['disk_mib']:,.0f} MiB on disk.",
        "",
        "| search | queries | median, ms | p95, ms | recall@10 | numpy, exact: median, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for search_label, measurement in results["measured"].items():
        recall, exact_median = (measurement.get(figure_name) for figure_name in ("recall_at_10", "numpy_median_ms"))
        exact_cells = (
            f"{'' if recall is None else f'{recall:.4f}'} | {'' if exact_median is None else f'{exact_median:.1f}'}"
        )
        table_lines.append(
            f"| {search_label} | {measurement['queries']} | {measurement['median_ms']:.1f} | "
            f"{measurement['p95_ms']:.1f} | {exact_cells} |"
        )
    table_lines += ["", "| encoding a text | median, ms | p95, ms |", "|---|---:|---:|"]
    table_lines += [
        f"| `{encoder_spec}` | {measurement['median_ms']:.1f} | {measurement['p95_ms']:.1f} |"
        for encoder_spec, measurement in results["encoding"].items()
    ]
    return "\n".join(table_lines) + "\n"


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--name", default="search_speed", help="name of the result")
    arguments = parser.parse_args()
    document = {"context": record.context(SEED), "result": _run_search(arguments.images, arguments.queries)}
    result_path = record.store(RESULTS / f"{arguments.name}.json", document)
    result_path.with_suffix(".md").write_text(_markdown(document), encoding="utf-8")
    print(_markdown(document))


if __name__ == "__main__":
    main()
