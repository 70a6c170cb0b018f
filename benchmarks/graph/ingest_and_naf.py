"""Times loading, and NaF, compared with rivals in the same run, as the graph grows.

    python -m benchmarks.graph.ingest_and_naf [--scales 1 10 50] [--data DIR]

For each scale (enlarged copies of the released MedMKG, ids made distinct) and each way of loading, a fresh server is
started and the load is timed in a separate process, from opening the file to the last commit:

- `kgp`: `kgplatform.ingest.ingest`: checked, resumable, every element tied to its run, full-text index included
- `plain`: what a careful user writes first: one `UNWIND … MERGE` text per relation type, in batches of 10,000 rows
- `import`: `kgplatform.bulk.bulk_import`, and in it `neo4j-admin database import` alone, the engine's limit

Then NaF on the graph that `kgp` loaded: scored and written back in Cypher, compared with a plain read-only aggregation
in Cypher, and the same from memory in pandas and in numpy.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.graph.ingest_and_naf_table import ingest_markdown, speed_ratios
from benchmarks.graph.naf_rivals import naf_numpy, naf_pandas, stance_columns
from benchmarks.graph.plain_loader import load_plain
from benchmarks.harness import record
from benchmarks.harness.timing import measure_seconds
from kgplatform import naf, server
from kgplatform.connect import open_graph
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.settings import Settings

WIPE = parse_query("w", "// Empties the graph.\nMATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS")
PLAIN_NAF = parse_query(
    "p",
    "// NaF as one would write it first, read only.\n"
    "MATCH (i:Image) WITH count(i) AS M\n"
    "MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)\n"
    "WITH M, c, type(r) AS relation, collect(i) AS images\n"
    "UNWIND images AS i\n"
    "RETURN i.id AS id, sum(log(toFloat(M) / size(images))) AS naf ORDER BY naf DESC, id",
)

RESULTS: Final = Path(__file__).parent / "results"


def _enlarge_graph(released: Path, folder: Path, copies: int) -> Path:
    """`copies` disjoint copies of the released graph as one MedMKG.csv."""
    folder.mkdir(parents=True)
    with (released / "MedMKG.csv").open(newline="", encoding="utf-8") as csv_file:
        header, *edge_rows = csv.reader(csv_file)
    concept_numbers = {
        cui: concept_number
        for concept_number, cui in enumerate(
            sorted({node_id for edge_row in edge_rows for node_id in (edge_row[0], edge_row[2]) if node_id[0] == "C"})
        )
    }
    with (folder / "MedMKG.csv").open("w", newline="", encoding="utf-8") as csv_file:
        writer = csv.writer(csv_file)
        writer.writerow(header)
        for copy_number in range(copies):

            def renamed(original_id: str, copy_number: int = copy_number) -> str:
                if original_id[0] == "C":
                    return f"C{copy_number * len(concept_numbers) + concept_numbers[original_id]:07d}"
                return f"I{copy_number + 1}{original_id[1:]:0>8}"

            for head, relation, tail, head_name, tail_name in edge_rows:
                writer.writerow([renamed(head), relation, renamed(tail), head_name, tail_name])
    return folder


def load_kgp(graph: Graph, folder: Path) -> None:
    """Ours."""
    from kgp_loaders.medmkg import MedMKG
    from kgplatform.ingest import ingest

    ingest(graph, MedMKG.find(folder))


LOADERS: dict[str, Callable[[Graph, Path], None]] = {"kgp": load_kgp, "plain": load_plain}


def timed_load(settings: Settings, loader: str, folder: Path) -> dict[str, float]:
    """One load in a separate process: wall seconds from before the connection, and its peak memory."""
    command = [sys.executable, "-m", "benchmarks.graph.ingest_and_naf", "--load", loader, "--folder", str(folder)]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    completed_run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(completed_run.stdout))


class _Stages(logging.Handler):
    """Takes down when each stage of the import begins."""

    def __init__(self, stages: list[tuple[str, float]]) -> None:
        super().__init__()
        self._stages = stages

    def emit(self, record: logging.LogRecord) -> None:
        """Add the stage and its time."""
        self._stages.append((record.getMessage(), time.perf_counter()))


def load_in_process(loader: str, folder: Path) -> None:
    """The timed process."""
    start_time = time.perf_counter()
    if loader == "import":
        from kgp_loaders.medmkg import MedMKG
        from kgplatform.bulk import bulk_import

        stages: list[tuple[str, float]] = []
        source = MedMKG.find(folder)
        platform_logger = logging.getLogger("kgplatform")
        platform_logger.setLevel(logging.INFO)
        platform_logger.addHandler(_Stages(stages))
        bulk_import(Settings.from_env(), source)
        end_time = time.perf_counter()
        stages.append(("end", end_time))
        import_index = next(
            stage_index for stage_index, (stage_name, _) in enumerate(stages) if stage_name == "importing"
        )
        tool_seconds = stages[import_index + 1][1] - stages[import_index][1]
        extra_figures = {"tool_seconds": tool_seconds}
    else:
        with open_graph() as graph:
            LOADERS[loader](graph, folder)
        end_time = time.perf_counter()
        extra_figures = {}
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": end_time - start_time, "peak_mib": peak_mib, **extra_figures}))


def edges_in(graph: Graph) -> int:
    """How many edges are there."""
    count_query = parse_query("c", "// Edges.\nMATCH ()-[r]->() RETURN count(r) AS n")
    return int(graph.read(count_query)[0]["n"])


def measure_loads(folder: Path, scratch: Path, scale: int, edges: int, repeats: int) -> dict[str, Any]:
    """Each way of loading on fresh servers; at scale 1 the online ones warm as well."""
    results: dict[str, Any] = {}
    for loader in ("kgp", "plain", "import"):
        cold_seconds, warm_seconds, peak_mib, tool_seconds = [], [], [], []
        for _ in range(repeats):
            settings = Settings(home=scratch / "home")
            if loader != "import":
                server.start(settings)
            first_load = timed_load(settings, loader, folder)
            cold_seconds.append(first_load["seconds"])
            peak_mib.append(first_load["peak_mib"])
            tool_seconds.append(first_load.get("tool_seconds", 0.0))
            with open_graph(settings) as graph:
                assert edges_in(graph) == edges, f"{loader} loaded {edges_in(graph)} of {edges} edges"
                if scale == 1 and loader != "import":
                    for _ in range(3):
                        graph.run_unmanaged(WIPE)
                        warm_seconds.append(timed_load(settings, loader, folder)["seconds"])
            server.stop(settings)
            shutil.rmtree(settings.home)
        results[loader] = {
            "first_load_seconds": statistics.median(cold_seconds),
            "first_loads": cold_seconds,
            "edges_per_second": edges / statistics.median(cold_seconds),
            "client_peak_mib": max(peak_mib),
        }
        if warm_seconds:
            results[loader]["warm_seconds"] = statistics.median(warm_seconds)
            results[loader]["warm_loads"] = warm_seconds
        if loader == "import":
            results[loader]["tool_alone_seconds"] = statistics.median(tool_seconds)
        _say(f"  {loader}: {results[loader]}")
    return results


def measure_naf(folder: Path, scratch: Path) -> dict[str, Any]:
    """NaF in Cypher, written back, next to reading alone and next to memory."""
    settings = Settings(home=scratch / "home")
    server.start(settings)
    try:
        with open_graph(settings) as graph:
            load_kgp(graph, folder)
            seconds_by_method: dict[str, Any] = {
                "kgp_first": measure_seconds(lambda: naf.score(graph)),
                "kgp_warm": [measure_seconds(lambda: naf.score(graph)) for _ in range(5)],
                "cypher_read_only_warm": [measure_seconds(lambda: graph.read(PLAIN_NAF)) for _ in range(6)][1:],
            }
            best_images = [
                (scored_image["id"], round(scored_image["naf"], 9)) for scored_image in naf.score(graph, top=20).top
            ]
    finally:
        server.stop(settings)
        shutil.rmtree(settings.home)
    heads, relations, tails = stance_columns(folder)
    seconds_by_method["pandas"] = [measure_seconds(lambda: naf_pandas(heads, relations, tails)) for _ in range(3)]
    seconds_by_method["numpy"] = [measure_seconds(lambda: naf_numpy(heads, relations, tails)) for _ in range(3)]
    scores = naf_pandas(heads, relations, tails).round(9)
    assert all(abs(scores[image] - score) < 1e-8 for image, score in best_images)
    median_seconds = {
        method_name: statistics.median(measurement) if isinstance(measurement, list) else measurement
        for method_name, measurement in seconds_by_method.items()
    }
    _say(f"  naf: {median_seconds}")
    return {"seconds": median_seconds, "all": seconds_by_method}


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--data", type=Path, help="folder with the released MedMKG.csv [KGP_DATA_DIR/medmkg]")
    parser.add_argument(
        "--repeats", type=int, default=3, help="fresh servers a loader at scale 1; larger scales take 1"
    )
    parser.add_argument("--name", default="ingest_and_naf", help="name of the result")
    parser.add_argument("--load", choices=[*LOADERS, "import"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        return load_in_process(arguments.load, arguments.folder)
    data_folder = arguments.data or (Settings.from_env().data_dir or Path("data")) / "medmkg"
    document: dict[str, Any] = {"context": record.context(), "scales": []}
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as temporary_folder:
        scratch = Path(temporary_folder)
        for scale in arguments.scales:
            _say(f"scale {scale}")
            copies_folder = _enlarge_graph(data_folder, scratch / f"x{scale}", scale)
            with (copies_folder / "MedMKG.csv").open(encoding="utf-8") as csv_file:
                edge_count = sum(1 for _ in csv_file) - 1
            load_results = measure_loads(
                copies_folder, scratch, scale, edge_count, arguments.repeats if scale == 1 else 1
            )
            result: dict[str, Any] = {"scale": scale, "edges": edge_count, "loads": load_results}
            result["naf"] = measure_naf(copies_folder, scratch)
            result["ratios"] = speed_ratios(result)
            document["scales"].append(result)
            record.store(RESULTS / f"{arguments.name}.json", document)
    result_path = record.store(RESULTS / f"{arguments.name}.json", document)
    result_path.with_suffix(".md").write_text(ingest_markdown(document), encoding="utf-8")
    print(ingest_markdown(document))


if __name__ == "__main__":
    main()
