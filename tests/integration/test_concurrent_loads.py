"""Several loaders at once: the graph is that of one load after the other, digest for digest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform import runs
from kgplatform.batches import GraphBatch, Source
from kgplatform.digest import digest
from kgplatform.errors import KgpError
from kgplatform.graph import Graph
from kgplatform.ingest import Report, ingest, prepare
from kgplatform.queries import parse
from kgplatform.settings import Settings
from tests.conftest import WIPE
from tests.integration.sources import Handmade, small_rows, write_medmkg

pytestmark = pytest.mark.server

DAMAGE = parse(
    "t/d",
    "// What two loads of a run at once left in earlier versions: claims listed twice.\n"
    "MATCH (n:Image) WITH n, [k IN keys(n) WHERE NOT k IN ['id', 'runs'] | k + '@' + n.runs[0]] AS claims\n"
    "SET n.claims = claims + claims, n.runs = n.runs + n.runs",
)
FORGET_LAYOUT = parse("t/f", "// As if an earlier version had written.\nMATCH (p:Platform) SET p.layout = null")


def at_once(
    settings: Settings, sources: Sequence[Source], batch_rows: int = 100
) -> tuple[list[Report], list[KgpError]]:
    """Load each source in a thread and with a connection of its own; returns the reports and the errors."""
    reports: list[Report] = []
    errors: list[KgpError] = []
    ready = threading.Barrier(len(sources))

    def load(source: Source) -> None:
        try:
            with Graph.open(settings) as own:
                ready.wait()
                reports.append(ingest(own, source, batch_rows=batch_rows))
        except KgpError as error:
            errors.append(error)

    threads = [threading.Thread(target=load, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports, errors


def mapped(folder: Path, images: int = 200) -> MedMKG:
    """A graph in the release's form, with a mapping that completes its images."""
    mapping = [f"I{10_000_000 + i},files/p10/p{i}/s{10_000_000 + i}/a.jpg" for i in range(images)]
    return MedMKG.find(write_medmkg(folder, small_rows(images, 60), mapping))


def shared(folder: Path, name: str) -> Handmade:
    """A source whose images, concepts and edges, with all their properties, are also those of the other names."""
    batches = []
    for start in range(0, 200, 50):
        batch = GraphBatch(read=50)
        for i in range(start, start + 50):
            image, concept = ("Image", f"I{i}"), ("Concept", f"C{9_900_000 + i % 7}")
            batch.nodes[image] = {"dataset": "shared", "view": "PA"}
            batch.nodes[concept] = {"name": f"finding {i % 7}"}
            batch.edges[image, "POSITIVE", concept] = {"section": "findings", "score": 0.5}
        batches.append(batch)
    return Handmade(folder / name, batches, name)


@pytest.mark.parametrize("loaders", [2, 4, 8])
def test_loaders_of_the_same_run_leave_the_graph_of_one_load(
    graph: Graph, settings: Settings, tmp_path: Path, loaders: int
) -> None:
    source = mapped(tmp_path / "same")
    alone = ingest(graph, source)
    wanted, record = str(digest(graph)), runs.show(graph, alone.run)["run"]
    runs.undo(graph, alone.run)
    reports, errors = at_once(settings, [source] * loaders)
    assert errors == []
    assert str(digest(graph)) == wanted
    assert all(r.rows.read == r.rows.written + r.rows.existing + r.rows.rejected for r in reports)
    after = runs.show(graph, alone.run)["run"]
    counted = ("status", "rows_read", "rows_written", "rows_enriched", "rows_done")
    assert {name: after[name] for name in counted} == {name: record[name] for name in counted}
    runs.undo(graph, alone.run)
    assert digest(graph).nodes == 0


def test_loaders_of_different_runs_leave_the_graph_of_one_after_the_other(
    graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    sources = [shared(tmp_path, name) for name in "abcd"]
    for source in sources:
        ingest(graph, source)
    wanted = str(digest(graph))
    graph.run_unmanaged(WIPE)
    reports, errors = at_once(settings, [*sources, *reversed(sources)])
    assert errors == []
    assert str(digest(graph)) == wanted
    ids = {report.run for report in reports}
    assert len(ids) == 4
    for number, run in enumerate(ids):
        runs.undo(graph, run)
        assert digest(graph).edges == (0 if number == 3 else 200)
    assert digest(graph).nodes == 0


def test_loaders_of_overlapping_files_count_each_edge_once(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    rows = small_rows(400, 60)
    parts = [rows[:900], rows[300:], rows[::2], rows[::-1]]
    sources = [MedMKG.find(write_medmkg(tmp_path / str(number), part)) for number, part in enumerate(parts)]
    reports, errors = at_once(settings, sources)
    assert errors == []
    assert digest(graph).edges == len(set(rows)) == sum(report.rows.written for report in reports)


def test_an_undo_during_a_load_leaves_nothing_behind(graph: Graph, tmp_path: Path) -> None:
    source = mapped(tmp_path / "same")
    run = ingest(graph, source).run
    runs.undo(graph, run)
    empty = str(digest(graph))
    begun, undone = threading.Event(), threading.Event()

    def wait(done: int, total: int | None) -> None:
        del done, total
        begun.set()
        undone.wait(60)

    with pytest.raises(KgpError, match="undone while it was loaded"):
        _with_help(lambda: (begun.wait(60), runs.undo(graph, run), undone.set()), lambda: _load(graph, source, wait))
    assert str(digest(graph)) == empty
    assert runs.show(graph, run)["run"]["status"] == "undone"


def test_a_graph_that_earlier_loads_at_once_have_damaged_is_repaired_by_the_next_load(
    graph: Graph, tmp_path: Path
) -> None:
    source = mapped(tmp_path / "same")
    ingest(graph, source)
    wanted = str(digest(graph))
    graph.write(DAMAGE)
    graph.write(FORGET_LAYOUT)
    assert str(digest(graph)) != wanted
    ingest(graph, source)
    assert str(digest(graph)) == wanted


def _load(graph: Graph, source: Source, progress: Callable[[int, int | None], None]) -> None:
    ingest(graph, source, batch_rows=100, progress=progress)


def _with_help(helps: Callable[[], object], work: Callable[[], None]) -> None:
    helper = threading.Thread(target=helps)
    helper.start()
    try:
        work()
    finally:
        helper.join()


@pytest.mark.long
@pytest.mark.data
def test_20_pairs_of_loaders_of_the_release_leave_the_graph_of_one_load(
    graph: Graph, settings: Settings, data_dir: Path
) -> None:
    source = MedMKG.find(data_dir / "medmkg")
    ingest(graph, source)
    wanted = str(digest(graph))
    for _ in range(20):
        graph.run_unmanaged(WIPE)
        prepare(graph)
        _, errors = at_once(settings, [source, source], batch_rows=10_000)
        assert errors == []
        assert str(digest(graph)) == wanted
