"""Times loading, and NaF, beside rivals in the same run, as the graph grows.

    python benchmarks/ingest_and_naf.py [--scales 1 10 50] [--data DIR]

For each scale (enlarged copies of the released MedMKG, ids made distinct) and each way of loading, a fresh server is
started and the load is timed in a process of its own, from opening the file to the last commit:

- `kgp`: `kgplatform.ingest.ingest`: checked, resumable, every element tied to its run, full-text index included
- `plain`: what a careful user writes first: one `UNWIND … MERGE` text per relation type, in batches of 10,000 rows
- `import`: `kgplatform.bulk.bulk_import`, and in it `neo4j-admin database import` alone, the engine's limit

Then NaF on the graph that `kgp` loaded: scored and written back in Cypher, beside a plain read-only aggregation in
Cypher, and the same from memory in pandas and in numpy.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record

from kgplatform import naf, server
from kgplatform.graph import Graph
from kgplatform.queries import parse
from kgplatform.settings import Settings

BATCH = 10_000
STANCES = ("POSITIVE", "NEGATIVE", "UNCERTAIN")
WIPE = parse("w", "// Empties the graph.\nMATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS")
PLAIN_NAF = parse(
    "p",
    "// NaF as one would write it first, read only.\n"
    "MATCH (i:Image) WITH count(i) AS M\n"
    "MATCH (i:Image)-[r:POSITIVE|NEGATIVE|UNCERTAIN]->(c:Concept)\n"
    "WITH M, c, type(r) AS relation, collect(i) AS images\n"
    "UNWIND images AS i\n"
    "RETURN i.id AS id, sum(log(toFloat(M) / size(images))) AS naf ORDER BY naf DESC, id",
)


def enlarge(released: Path, folder: Path, copies: int) -> Path:
    """`copies` disjoint copies of the released graph as one MedMKG.csv."""
    folder.mkdir(parents=True)
    with (released / "MedMKG.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    concepts = {cui: i for i, cui in enumerate(sorted({x for r in rows for x in (r[0], r[2]) if x[0] == "C"}))}
    with (folder / "MedMKG.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for copy in range(copies):

            def renamed(name: str, copy: int = copy) -> str:
                if name[0] == "C":
                    return f"C{copy * len(concepts) + concepts[name]:07d}"
                return f"I{copy + 1}{name[1:]:0>8}"

            for head, relation, tail, head_name, tail_name in rows:
                writer.writerow([renamed(head), relation, renamed(tail), head_name, tail_name])
    return folder


def load_kgp(graph: Graph, folder: Path) -> None:
    """Ours."""
    from kgp_loaders.medmkg import MedMKG
    from kgplatform.ingest import ingest

    ingest(graph, MedMKG.find(folder))


def load_plain(graph: Graph, folder: Path) -> None:
    """The plain loader: nodes first, then one statement text a relation type."""
    driver = graph._driver
    run = driver.execute_query
    run("CREATE CONSTRAINT c IF NOT EXISTS FOR (n:Concept) REQUIRE n.cui IS UNIQUE")
    run("CREATE CONSTRAINT i IF NOT EXISTS FOR (n:Image) REQUIRE n.id IS UNIQUE")
    concepts: dict[str, str] = {}
    images: set[str] = set()
    edges: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (folder / "MedMKG.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for key, name in ((row["Head"], row["Head_Name"]), (row["Tail"], row["Tail_Name"])):
                if key[0] == "C":
                    concepts[key] = name
                else:
                    images.add(key)
            edges[row["Head"][0], row["Relation"]].append({"h": row["Head"], "t": row["Tail"]})
    named = [{"cui": cui, "name": name} for cui, name in concepts.items()]
    for rows in _chunks(named):
        run("UNWIND $rows AS row MERGE (n:Concept {cui: row.cui}) SET n.name = row.name", rows=rows)
    for rows in _chunks([{"id": image} for image in images]):
        run("UNWIND $rows AS row MERGE (n:Image {id: row.id})", rows=rows)
    for (kind, relation), of_type in edges.items():
        head = "Concept {cui: row.h}" if kind == "C" else "Image {id: row.h}"
        text = f"UNWIND $rows AS row MATCH (h:{head}) MATCH (t:Concept {{cui: row.t}}) MERGE (h)-[:`{relation}`]->(t)"
        for rows in _chunks(of_type):
            run(text, rows=rows)


def _chunks(rows: list[Any]) -> list[list[Any]]:
    return [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]


LOADERS: dict[str, Callable[[Graph, Path], None]] = {"kgp": load_kgp, "plain": load_plain}


def timed_load(settings: Settings, loader: str, folder: Path) -> dict[str, float]:
    """One load in a process of its own: wall seconds from before the connection, and its peak memory."""
    command = [sys.executable, __file__, "--load", loader, "--folder", str(folder)]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def load_here(loader: str, folder: Path) -> None:
    """The timed process."""
    started = time.perf_counter()
    if loader == "import":
        from kgp_loaders.medmkg import MedMKG
        from kgplatform.bulk import bulk_import

        stages: list[tuple[str, float]] = []
        source = MedMKG.find(folder)
        bulk_import(Settings.from_env(), source, told=lambda what: stages.append((what, time.perf_counter())))
        end = time.perf_counter()
        stages.append(("end", end))
        begin = next(i for i, (what, _) in enumerate(stages) if what == "importing")
        tool = stages[begin + 1][1] - stages[begin][1]
        extra = {"tool_seconds": tool}
    else:
        with Graph.open() as graph:
            LOADERS[loader](graph, folder)
        end = time.perf_counter()
        extra = {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": end - started, "peak_mib": peak, **extra}))


def edges_in(graph: Graph) -> int:
    """How many edges are there."""
    count = parse("c", "// Edges.\nMATCH ()-[r]->() RETURN count(r) AS n")
    return int(graph.read(count)[0]["n"])


def measure_loads(folder: Path, scratch: Path, scale: int, edges: int, repeats: int) -> dict[str, Any]:
    """Each way of loading on fresh servers; at scale 1 the online ones warm as well."""
    results: dict[str, Any] = {}
    for loader in ("kgp", "plain", "import"):
        cold, warm, memory, tool = [], [], [], []
        for _ in range(repeats):
            settings = Settings(home=scratch / "home")
            if loader != "import":
                server.start(settings)
            first = timed_load(settings, loader, folder)
            cold.append(first["seconds"])
            memory.append(first["peak_mib"])
            tool.append(first.get("tool_seconds", 0.0))
            with Graph.open(settings) as graph:
                assert edges_in(graph) == edges, f"{loader} loaded {edges_in(graph)} of {edges} edges"
                if scale == 1 and loader != "import":
                    for _ in range(3):
                        graph.run_unmanaged(WIPE)
                        warm.append(timed_load(settings, loader, folder)["seconds"])
            server.stop(settings)
            shutil.rmtree(settings.home)
        results[loader] = {
            "first_load_seconds": statistics.median(cold),
            "first_loads": cold,
            "edges_per_second": edges / statistics.median(cold),
            "client_peak_mib": max(memory),
        }
        if warm:
            results[loader]["warm_seconds"] = statistics.median(warm)
            results[loader]["warm_loads"] = warm
        if loader == "import":
            results[loader]["tool_alone_seconds"] = statistics.median(tool)
        _say(f"  {loader}: {results[loader]}")
    return results


def measure_naf(folder: Path, scratch: Path) -> dict[str, Any]:
    """NaF in Cypher, written back, beside reading alone and beside memory."""
    settings = Settings(home=scratch / "home")
    server.start(settings)
    try:
        with Graph.open(settings) as graph:
            load_kgp(graph, folder)
            seconds: dict[str, Any] = {
                "kgp_first": _time(lambda: naf.score(graph)),
                "kgp_warm": [_time(lambda: naf.score(graph)) for _ in range(5)],
                "cypher_read_only_warm": [_time(lambda: graph.read(PLAIN_NAF)) for _ in range(6)][1:],
            }
            best = [(t["id"], round(t["naf"], 9)) for t in naf.score(graph, top=20).top]
    finally:
        server.stop(settings)
        shutil.rmtree(settings.home)
    heads, relations, tails = _stances(folder)
    seconds["pandas"] = [_time(lambda: naf_pandas(heads, relations, tails)) for _ in range(3)]
    seconds["numpy"] = [_time(lambda: naf_numpy(heads, relations, tails)) for _ in range(3)]
    scores = naf_pandas(heads, relations, tails).round(9)
    assert all(abs(scores[image] - score) < 1e-8 for image, score in best)
    medians = {name: statistics.median(v) if isinstance(v, list) else v for name, v in seconds.items()}
    _say(f"  naf: {medians}")
    return {"seconds": medians, "all": seconds}


def _stances(folder: Path) -> tuple[list[str], list[str], list[str]]:
    with (folder / "MedMKG.csv").open(newline="", encoding="utf-8") as file:
        rows = [(r[0], r[1], r[2]) for r in csv.reader(file) if r[1] in STANCES]
    heads, relations, tails = (list(column) for column in zip(*rows, strict=True))
    return heads, relations, tails


def naf_pandas(heads: list[str], relations: list[str], tails: list[str]) -> Any:
    """NaF from memory in pandas."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"image": heads, "relation": relations, "concept": tails})
    sharing = frame.groupby(["relation", "concept"])["image"].transform("size")
    terms = np.log(frame["image"].nunique() / sharing)
    return terms.groupby(frame["image"]).sum().sort_values(ascending=False)


def naf_numpy(heads: list[str], relations: list[str], tails: list[str]) -> Any:
    """NaF from memory in numpy."""
    import numpy as np

    _, image = np.unique(np.array(heads), return_inverse=True)
    _, relation = np.unique(np.array(relations), return_inverse=True)
    _, concept = np.unique(np.array(tails), return_inverse=True)
    pair = concept * 4 + relation
    sharing = np.bincount(pair)
    images = image.max() + 1
    return np.bincount(image, weights=np.log(images / sharing[pair]), minlength=images)


def _time(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratios(scale: dict[str, Any]) -> dict[str, float]:
    """Ours against each rival; above 1 is in our favour for speed-ups, below for `naf_to_read_only`."""
    loads, seconds = scale["loads"], scale["naf"]["seconds"]
    kgp, plain = loads["kgp"], loads["plain"]
    found = {
        "first_load_speedup_over_plain": plain["first_load_seconds"] / kgp["first_load_seconds"],
        "first_load_to_import_tool": kgp["first_load_seconds"] / loads["import"]["tool_alone_seconds"],
        "naf_to_read_only": seconds["kgp_warm"] / seconds["cypher_read_only_warm"],
        "naf_to_pandas": seconds["kgp_warm"] / seconds["pandas"],
        "naf_to_numpy": seconds["kgp_warm"] / seconds["numpy"],
    }
    if "warm_seconds" in kgp:
        found["warm_speedup_over_plain"] = plain["warm_seconds"] / kgp["warm_seconds"]
    return found


def markdown(document: dict[str, Any]) -> str:
    """The result as tables."""
    lines = [
        "| scale | edges | way | first load, s | edges/s | warm load, s | client peak, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for scale in document["scales"]:
        for name, load in scale["loads"].items():
            warm = f"{load['warm_seconds']:.2f}" if "warm_seconds" in load else "–"
            tool = f" (tool alone {load['tool_alone_seconds']:.1f})" if "tool_alone_seconds" in load else ""
            lines.append(
                f"| {scale['scale']}× | {scale['edges']:,} | {name} | {load['first_load_seconds']:.2f}{tool} | "
                f"{load['edges_per_second']:,.0f} | {warm} | {load['client_peak_mib']:.0f} |"
            )
    lines += [
        "",
        "| scale | NaF, written back: first / warm, s | Cypher, read only, s | pandas, s | numpy, s |",
        "|---|---|---|---|---|",
    ]
    for scale in document["scales"]:
        s = scale["naf"]["seconds"]
        lines.append(
            f"| {scale['scale']}× | {s['kgp_first']:.2f} / {s['kgp_warm']:.3f} | {s['cypher_read_only_warm']:.3f} | "
            f"{s['pandas']:.3f} | {s['numpy']:.3f} |"
        )
    lines += [
        "",
        "| scale | " + " | ".join(document["scales"][0]["ratios"]) + " |",
        "|---" * (1 + len(document["scales"][0]["ratios"])) + "|",
    ]
    for scale in document["scales"]:
        found = (scale["ratios"].get(name) for name in document["scales"][0]["ratios"])
        cells = " | ".join("–" if ratio is None else f"{ratio:.2f}" for ratio in found)
        lines.append(f"| {scale['scale']}× | {cells} |")
    context = document["context"]
    machine = context["machine"]
    lines += [
        "",
        f"{machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB; commit "
        f"{context['commit'][:10]}, {context['date'][:10]}, driver {context['versions'].get('neo4j')}.",
    ]
    return "\n".join(lines) + "\n"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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
        return load_here(arguments.load, arguments.folder)
    data = arguments.data or (Settings.from_env().data_dir or Path("data")) / "medmkg"
    document: dict[str, Any] = {"context": record.context(), "scales": []}
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as folder:
        scratch = Path(folder)
        for scale in arguments.scales:
            _say(f"scale {scale}")
            copies = enlarge(data, scratch / f"x{scale}", scale)
            with (copies / "MedMKG.csv").open(encoding="utf-8") as file:
                edges = sum(1 for _ in file) - 1
            loads = measure_loads(copies, scratch, scale, edges, arguments.repeats if scale == 1 else 1)
            result: dict[str, Any] = {"scale": scale, "edges": edges, "loads": loads}
            result["naf"] = measure_naf(copies, scratch)
            result["ratios"] = ratios(result)
            document["scales"].append(result)
            record.store(arguments.name, document)
    path = record.store(arguments.name, document)
    path.with_suffix(".md").write_text(markdown(document), encoding="utf-8")
    print(markdown(document))


if __name__ == "__main__":
    main()
