"""Times exports compared with the driver's own row rate in the same run.

    python -m benchmarks.graph.export [--data DIR] [--repeats 7] [--home DIR]

The released MedMKG is loaded into a fresh server; then, in turn and warm:

- `driver`: one record an edge, with the keys of its ends, consumed and nothing more: what a plain loop over
  ``MATCH (h)-[r]->(t) RETURN …`` costs at least
- `read`: `read_triples`: integer triples with id maps, all read in one unchanging state
- each format: `formats.write` of these triples alone, and the same with the reading
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import kgplatform
from benchmarks.harness import record
from benchmarks.harness.own_graph import own_graph
from benchmarks.harness.timing import measure_seconds
from kgplatform.export import formats
from kgplatform.export.read import Selection, read_triples
from kgplatform.graph import Graph
from kgplatform.settings import Settings

RESULTS: Final = Path(__file__).parent / "results"

PLAIN = "MATCH (h)-[r]->(t) RETURN coalesce(h.cui, h.id) AS head, type(r) AS relation, coalesce(t.cui, t.id) AS tail"
SELECTIONS = {
    "kept images": Selection(images="kept"),
    "POSITIVE, between image and concept": Selection(stances=("POSITIVE",), only="cross"),
    "around C0032285, 1 hop": Selection(around=("C0032285",)),
    "around C0032285, 2 hops": Selection(around=("C0032285",), hops=2),
}


def _count_by_driver(graph: Graph) -> int:
    """The driver alone: every record is taken, none is kept."""
    with graph._driver.session(default_access_mode="READ") as session:
        return sum(1 for _ in session.run(PLAIN))


def _measure(graph: Graph, scratch: Path, repeats: int) -> dict[str, Any]:
    """Rows and edges a second, rivals in turn so that a busy machine slows all alike."""
    triples = read_triples(graph)
    work_by_name: dict[str, Callable[[], Any]] = {
        "driver": lambda: _count_by_driver(graph),
        "read": lambda: read_triples(graph),
    }
    for format_name in formats.FORMATS:
        work_by_name[f"write {format_name}"] = partial(formats.write, triples, scratch / format_name, format_name)
    for work_name, selection in SELECTIONS.items():
        work_by_name[f"read: {work_name}"] = partial(read_triples, graph, selection)
    edge_counts = {work_name: len(triples) for work_name in work_by_name}
    edge_counts |= {
        f"read: {work_name}": len(read_triples(graph, selection)) for work_name, selection in SELECTIONS.items()
    }
    for work in work_by_name.values():  # plans, caches, imports
        for _ in range(3):
            work()
    times_by_name: dict[str, list[float]] = {work_name: [] for work_name in work_by_name}
    for _ in range(repeats):
        for work_name, work in work_by_name.items():
            times_by_name[work_name].append(measure_seconds(work))
    result_rows: dict[str, dict[str, Any]] = {}
    for work_name, run_seconds in times_by_name.items():
        median_seconds = statistics.median(run_seconds)
        result_rows[work_name] = {
            "edges": edge_counts[work_name],
            "seconds": median_seconds,
            "best_seconds": min(run_seconds),
            "edges_per_second": edge_counts[work_name] / median_seconds,
            "all": run_seconds,
        }
    return {
        "edges": len(triples),
        "entities": triples.num_entities,
        "relations": triples.num_relations,
        "sha256": triples.sha256,
        "measured": result_rows,
        "read_to_driver": result_rows["read"]["edges_per_second"] / result_rows["driver"]["edges_per_second"],
        "spread": {
            work_name: max(result_row["all"]) / min(result_row["all"]) for work_name, result_row in result_rows.items()
        },
    }


def _markdown(document: dict[str, Any]) -> str:
    """The result as a table."""
    table_lines = ["| | edges | median, s | best, s | edges/s |", "|---|---|---|---|---|"]
    for work_name, result_row in document["measured"].items():
        time_cells = (
            f"{result_row['seconds']:.3f} | {result_row['best_seconds']:.3f} | {result_row['edges_per_second']:,.0f}"
        )
        table_lines.append(f"| {work_name} | {result_row['edges']:,} | {time_cells} |")
    context = document["context"]
    machine = context["machine"]
    table_lines += [
        "",
        f"Reading is {document['read_to_driver']:.1f} times as fast as the driver's own rows.",
        "",
        f"{machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB; commit "
        f"{context['commit'][:10]}, {context['date'][:10]}, driver {context['versions'].get('neo4j')}.",
    ]
    return "\n".join(table_lines) + "\n"


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the released MedMKG.csv [KGP_DATA_DIR/medmkg]")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--home", type=Path, help="a platform home whose server runs and holds MedMKG, scored, already")
    arguments = parser.parse_args()
    data_folder = arguments.data or (Settings.from_env().data_dir or Path("data")) / "medmkg"
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as temporary_folder:
        scratch = Path(temporary_folder)
        if arguments.home:
            with kgplatform.open(Settings(home=arguments.home)) as graph:
                measurements = _measure(graph, scratch, arguments.repeats)
        else:
            print("starting a server and loading MedMKG", file=sys.stderr)
            with own_graph(scratch / "home") as graph:
                graph.ingest("medmkg", data_folder)
                graph.naf.score()
                graph.naf.filter()
                measurements = _measure(graph, scratch, arguments.repeats)
        document = {"context": record.context(), **measurements}
    result_path = record.store(RESULTS / "export.json", document)
    result_path.with_suffix(".md").write_text(_markdown(document), encoding="utf-8")
    print(_markdown(document))


if __name__ == "__main__":
    main()
