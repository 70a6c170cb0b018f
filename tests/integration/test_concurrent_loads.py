"""Several loaders at once: the graph is that of one load after the other, digest for digest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform import runs
from kgplatform.batches import GraphBatch, Source
from kgplatform.connect import open_graph
from kgplatform.digest import digest
from kgplatform.errors import KgpError
from kgplatform.graph import Graph
from kgplatform.ingest import LoadReport, ingest, prepare
from kgplatform.progress import Progress
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from tests.conftest import WIPE
from tests.integration.sources import Handmade, small_rows, write_medmkg

pytestmark = pytest.mark.server

DAMAGE = parse_query(
    "t/d",
    "// What two loads of a run at once left in earlier versions: claims listed twice.\n"
    "MATCH (n:Image) WITH n, [k IN keys(n) WHERE NOT k IN ['id', 'runs'] | k + '@' + n.runs[0]] AS claims\n"
    "SET n.claims = claims + claims, n.runs = n.runs + n.runs",
)
FORGET_LAYOUT = parse_query("t/f", "// As if an earlier version had written.\nMATCH (p:Platform) SET p.layout = null")


def at_once(
    settings: Settings, sources: Sequence[Source], batch_rows: int = 100
) -> tuple[list[LoadReport], list[KgpError]]:
    """Load each source in a thread and with its own connection; returns the reports and the errors."""
    reports: list[LoadReport] = []
    errors: list[KgpError] = []
    start_barrier = threading.Barrier(len(sources))

    def load(source: Source) -> None:
        try:
            with open_graph(settings) as own_graph:
                start_barrier.wait()
                reports.append(ingest(own_graph, source, batch_rows=batch_rows))
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
    image_mapping = [
        f"I{10_000_000 + image_number},files/p10/p{image_number}/s{10_000_000 + image_number}/a.jpg"
        for image_number in range(images)
    ]
    return MedMKG.find(write_medmkg(folder, small_rows(images, 60), image_mapping))


def _overlapping_source(folder: Path, name: str) -> Handmade:
    """A source whose images, concepts and edges, with all their properties, are also those of the other names."""
    batches = []
    for first_number in range(0, 200, 50):
        batch = GraphBatch(read=50)
        for edge_number in range(first_number, first_number + 50):
            image, concept = ("Image", f"I{edge_number}"), ("Concept", f"C{9_900_000 + edge_number % 7}")
            batch.nodes[image] = {"dataset": "shared", "view": "PA"}
            batch.nodes[concept] = {"name": f"finding {edge_number % 7}"}
            batch.edges[image, "POSITIVE", concept] = {"section": "findings", "score": 0.5}
        batches.append(batch)
    return Handmade(folder / name, batches, name)


@pytest.mark.parametrize("loaders", [2, 4, 8])
def test_loaders_of_the_same_run_leave_the_graph_of_one_load(
    graph: Graph, settings: Settings, tmp_path: Path, loaders: int
) -> None:
    medmkg_source = mapped(tmp_path / "same")
    single_load = ingest(graph, medmkg_source)
    expected_digest, record_before = str(digest(graph)), runs.show(graph, single_load.run)["run"]
    runs.undo(graph, single_load.run)
    reports, errors = at_once(settings, [medmkg_source] * loaders)
    assert errors == []
    assert str(digest(graph)) == expected_digest
    assert all(
        report.rows.read == report.rows.written + report.rows.existing + report.rows.rejected for report in reports
    )
    record_after = runs.show(graph, single_load.run)["run"]
    compared_names = ("status", "rows_read", "rows_written", "rows_enriched", "rows_done")
    assert {property_name: record_after[property_name] for property_name in compared_names} == {
        property_name: record_before[property_name] for property_name in compared_names
    }
    runs.undo(graph, single_load.run)
    assert digest(graph).nodes == 0


def test_loaders_of_different_runs_leave_the_graph_of_one_after_the_other(
    graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    sources = [_overlapping_source(tmp_path, source_name) for source_name in "abcd"]
    for source in sources:
        ingest(graph, source)
    expected_digest = str(digest(graph))
    graph.run_unmanaged(WIPE)
    reports, errors = at_once(settings, [*sources, *reversed(sources)])
    assert errors == []
    assert str(digest(graph)) == expected_digest
    run_ids = {report.run for report in reports}
    assert len(run_ids) == 4
    for undone_count, run_id in enumerate(run_ids):
        runs.undo(graph, run_id)
        assert digest(graph).edges == (0 if undone_count == 3 else 200)
    assert digest(graph).nodes == 0


def test_loaders_of_overlapping_files_count_each_edge_once(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    medmkg_rows = small_rows(400, 60)
    overlapping_rows = [medmkg_rows[:900], medmkg_rows[300:], medmkg_rows[::2], medmkg_rows[::-1]]
    sources = [
        MedMKG.find(write_medmkg(tmp_path / str(source_number), source_rows))
        for source_number, source_rows in enumerate(overlapping_rows)
    ]
    reports, errors = at_once(settings, sources)
    assert errors == []
    assert digest(graph).edges == len(set(medmkg_rows)) == sum(report.rows.written for report in reports)


def test_an_undo_during_a_load_leaves_nothing_behind(graph: Graph, tmp_path: Path) -> None:
    medmkg_source = mapped(tmp_path / "same")
    run_id = ingest(graph, medmkg_source).run
    runs.undo(graph, run_id)
    empty_digest = str(digest(graph))
    load_begun, undo_finished = threading.Event(), threading.Event()

    def wait(batches_done: int, total: int | None, **_: object) -> None:
        del batches_done, total
        load_begun.set()
        undo_finished.wait(60)

    def undo() -> None:
        load_begun.wait(60)
        runs.undo(graph, run_id)
        undo_finished.set()

    with pytest.raises(KgpError, match="undone while it was loaded"):
        _with_help(undo, lambda: _load(graph, medmkg_source, wait))
    assert str(digest(graph)) == empty_digest
    assert runs.show(graph, run_id)["run"]["status"] == "undone"


def test_a_graph_that_earlier_loads_at_once_have_damaged_is_repaired_by_the_next_load(
    graph: Graph, tmp_path: Path
) -> None:
    medmkg_source = mapped(tmp_path / "same")
    ingest(graph, medmkg_source)
    expected_digest = str(digest(graph))
    graph.write(DAMAGE)
    graph.write(FORGET_LAYOUT)
    assert str(digest(graph)) != expected_digest
    ingest(graph, medmkg_source)
    assert str(digest(graph)) == expected_digest


def _load(graph: Graph, source: Source, progress: Progress) -> None:
    ingest(graph, source, batch_rows=100, progress=progress)


def _with_help(helper_action: Callable[[], object], main_action: Callable[[], None]) -> None:
    helper_thread = threading.Thread(target=helper_action)
    helper_thread.start()
    try:
        main_action()
    finally:
        helper_thread.join()


@pytest.mark.long
@pytest.mark.data
def test_20_pairs_of_loaders_of_the_release_leave_the_graph_of_one_load(
    graph: Graph, settings: Settings, data_dir: Path
) -> None:
    medmkg_source = MedMKG.find(data_dir / "medmkg")
    ingest(graph, medmkg_source)
    expected_digest = str(digest(graph))
    for _ in range(20):
        graph.run_unmanaged(WIPE)
        prepare(graph)
        _, errors = at_once(settings, [medmkg_source, medmkg_source], batch_rows=10_000)
        assert errors == []
        assert str(digest(graph)) == expected_digest
