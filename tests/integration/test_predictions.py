"""Predicted links: written once, taken back, and finished after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples
from kgplatform import naf, queries, runs
from kgplatform.batches import GraphBatch
from kgplatform.digest import digest
from kgplatform.errors import InputError, KgpError
from kgplatform.graph import Graph
from kgplatform.ingest import LoadReport, ingest
from kgplatform.predictions import Prediction, write_predictions
from kgplatform.settings import Settings
from kgplatform.survey import Account
from tests import ROOT
from tests.integration.sources import Handmade, small_rows, write_medmkg
from tests.integration.written_predictions import IMAGE, SHA, SOME, A, B, C, write_some_predictions

pytestmark = pytest.mark.server

# A process that is killed with SIGKILL after its third batch.
KILLED = """
import os, signal
from kgplatform.connect import open_graph
from kgplatform.graph import Graph
from kgplatform.settings import Settings
from kgplatform import predictions
from tests.integration.test_predictions import SHA, predictions_by_rank
from tests import ROOT

def die(done, total):
    if done >= 60:
        os.kill(os.getpid(), signal.SIGKILL)

with open_graph(Settings.from_env()) as graph:
    options = {"checkpoint_sha256": SHA, "parameters": {}, "batch_rows": 20, "progress": die}
    predictions.write_predictions(graph, predictions_by_rank(), model="m", **options)
"""


def predictions_by_rank() -> Iterator[Prediction]:
    for image_number in range(40):
        for concept_number in range(5):
            yield Prediction(
                ("Image", f"I{10_000_000 + image_number}"),
                "POSITIVE",
                ("Concept", f"C99{concept_number:05d}"),
                image_number / 7 - concept_number,
                concept_number + 1,
            )


def predicted(graph: Graph, **parameters: Any) -> list[dict[str, Any]]:
    return graph.read(queries.get("predictions/list"), **parameters)


@pytest.fixture
def scored_medmkg_graph(graph: Graph, tmp_path: Path) -> Graph:
    """The small graph, scored."""
    ingest(graph, _small_medmkg(tmp_path))
    naf.score(graph)
    return graph


def _small_medmkg(folder: Path) -> MedMKG:
    return MedMKG.find(write_medmkg(folder / "small", small_rows()))


def test_predictions_are_edges_that_say_all_and_a_run(scored_medmkg_graph: Graph) -> None:
    write_report = write_some_predictions(scored_medmkg_graph)
    assert write_report.rows == Account(3, 3, 0, 0)
    rows_by_triple = {
        (listed_row["head"], listed_row["relation"], listed_row["tail"]): listed_row
        for listed_row in predicted(scored_medmkg_graph)
    }
    assert rows_by_triple.keys() == {
        (prediction.head[1], prediction.relation, prediction.tail[1]) for prediction in SOME
    }
    for prediction in SOME:
        listed_row = rows_by_triple[prediction.head[1], prediction.relation, prediction.tail[1]]
        assert (listed_row["score"], listed_row["rank"], listed_row["model"], listed_row["runs"]) == (
            prediction.score,
            prediction.rank,
            "transe",
            [write_report.run],
        )
    run_details = runs.show(scored_medmkg_graph, write_report.run)
    assert (run_details["nodes"], run_details["edges"]) == (0, 3)
    run_record = run_details["run"]
    assert {
        field: run_record[field]
        for field in ("kind", "model", "checkpoint_sha256", "status", "rows_read", "rows_written")
    } == {
        "kind": "prediction",
        "model": "transe",
        "checkpoint_sha256": SHA,
        "status": "done",
        "rows_read": 3,
        "rows_written": 3,
    }
    assert run_record["parameters"] == '{"top": 10}'
    assert [
        listed_row["source"]
        for listed_row in runs.list_runs(scored_medmkg_graph)
        if listed_row["id"] == write_report.run
    ] == ["transe"]


def test_the_same_predictions_twice_are_one_run_and_change_nothing(scored_medmkg_graph: Graph) -> None:
    first_write = write_some_predictions(scored_medmkg_graph)
    digest_before, run_before = str(digest(scored_medmkg_graph)), runs.show(scored_medmkg_graph, first_write.run)
    second_write = write_some_predictions(scored_medmkg_graph, [*reversed(SOME), SOME[0]])
    assert second_write.run == first_write.run
    assert second_write.rows == Account(3, 0, 3, 0)
    assert str(digest(scored_medmkg_graph)) == digest_before
    assert runs.show(scored_medmkg_graph, first_write.run) == run_before


def test_other_predictions_are_another_run(scored_medmkg_graph: Graph) -> None:
    changes: list[dict[str, Any]] = [
        *({}, {"model": "other"}, {"sha": "cd" * 32}, {"rows": SOME[:2]}),
        {"rows": [*SOME[:2], Prediction(A, "isa", C, 1, 1)]},
    ]
    assert len({write_some_predictions(scored_medmkg_graph, **change).run for change in changes}) == len(changes)


def test_undo_gives_the_graph_back_and_leaves_the_scores_current(scored_medmkg_graph: Graph) -> None:
    digest_before = str(digest(scored_medmkg_graph))
    write_report = write_some_predictions(scored_medmkg_graph)
    assert str(digest(scored_medmkg_graph)) != digest_before
    assert naf.filter_images(scored_medmkg_graph).images == 40
    undone = runs.undo(scored_medmkg_graph, write_report.run)
    assert (undone.edges, undone.nodes) == (3, 0)
    assert str(digest(scored_medmkg_graph)) == digest_before
    assert naf.filter_images(scored_medmkg_graph).images == 40
    assert write_some_predictions(scored_medmkg_graph).rows == Account(3, 3, 0, 0)


def test_an_undone_load_takes_the_predictions_about_its_nodes_along(graph: Graph, tmp_path: Path) -> None:
    empty_digest = str(digest(graph))
    load_report = ingest(graph, _small_medmkg(tmp_path))
    write_report = write_some_predictions(graph)
    undone = runs.undo(graph, load_report.run)
    assert (undone.edges, undone.nodes) == (178 + 3, 70)
    assert str(digest(graph)) == empty_digest
    assert runs.undo(graph, write_report.run).edges == 0
    ingest(graph, _small_medmkg(tmp_path))
    assert write_some_predictions(graph).rows.written == 3


def test_a_load_that_is_undone_meanwhile_stops_the_writing(graph: Graph, tmp_path: Path) -> None:
    load_report = ingest(graph, _small_medmkg(tmp_path))

    def undo(rows_done: int, row_total: int | None) -> None:
        if rows_done == 20:
            runs.undo(graph, load_report.run)

    def write_many(progress: Any = lambda rows_done, row_total: None) -> LoadReport:
        return write_predictions(
            graph,
            predictions_by_rank(),
            model="m",
            checkpoint_sha256=SHA,
            parameters={},
            batch_rows=20,
            progress=progress,
        )

    with pytest.raises(InputError, match="taken out of the graph meanwhile"):
        write_many(undo)
    assert predicted(graph) == []
    ingest(graph, _small_medmkg(tmp_path))
    assert write_many().rows == Account(200, 200, 0, 0)
    assert len(predicted(graph, limit=1000)) == 200


def test_runs_that_say_otherwise_keep_their_own_scores(scored_medmkg_graph: Graph) -> None:
    first_write = write_some_predictions(scored_medmkg_graph, SOME[:1])
    same_write = write_some_predictions(scored_medmkg_graph, SOME[:2])
    other_write = write_some_predictions(scored_medmkg_graph, [Prediction(A, "isa", B, 0.25, 1)], sha="cd" * 32)
    model_write = write_some_predictions(scored_medmkg_graph, SOME[:1], model="distmult")
    scores = [
        (prediction["model"], prediction["score"], len(prediction["runs"]))
        for prediction in predicted(scored_medmkg_graph, relation="isa")
    ]
    assert sorted(scores) == [("distmult", 0.75, 1), ("transe", 0.25, 1), ("transe", 0.75, 2)]
    runs.undo(scored_medmkg_graph, first_write.run)
    runs.undo(scored_medmkg_graph, other_write.run)
    remaining = [
        (prediction["model"], prediction["score"], prediction["runs"])
        for prediction in predicted(scored_medmkg_graph, relation="isa")
    ]
    assert sorted(remaining) == [("distmult", 0.75, [model_write.run]), ("transe", 0.75, [same_write.run])]


def test_a_killed_process_is_finished_by_the_next(scored_medmkg_graph: Graph, settings: Settings) -> None:
    digest_before = str(digest(scored_medmkg_graph))
    undisturbed = write_predictions(
        scored_medmkg_graph, predictions_by_rank(), model="m", checkpoint_sha256=SHA, parameters={}
    )
    expected_digest = str(digest(scored_medmkg_graph))
    runs.undo(scored_medmkg_graph, undisturbed.run)
    assert str(digest(scored_medmkg_graph)) == digest_before
    repository = ROOT
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    killed_process = subprocess.run([sys.executable, "-c", KILLED], cwd=repository, env=environment, check=False)
    assert killed_process.returncode == -signal.SIGKILL
    assert 60 <= len(predicted(scored_medmkg_graph, limit=1000)) < 200
    assert str(digest(scored_medmkg_graph)) != expected_digest
    write_report = write_predictions(
        scored_medmkg_graph, predictions_by_rank(), model="m", checkpoint_sha256=SHA, parameters={}, batch_rows=20
    )
    assert write_report.resumed_at >= 60
    assert write_report.run == undisturbed.run
    assert write_report.rows == Account(200, 200, 0, 0)
    assert str(digest(scored_medmkg_graph)) == expected_digest
    assert runs.show(scored_medmkg_graph, write_report.run)["run"]["rows_written"] == 200


def test_half_undone_predictions_must_be_undone_to_the_end_first(scored_medmkg_graph: Graph) -> None:
    write_report = write_some_predictions(scored_medmkg_graph)
    scored_medmkg_graph.write(queries.get("runs/undo_begin"), run=write_report.run)
    with pytest.raises(KgpError, match="half undone"):
        write_some_predictions(scored_medmkg_graph)
    runs.undo(scored_medmkg_graph, write_report.run)
    assert write_some_predictions(scored_medmkg_graph).rows.written == 3


BAD = [
    (
        Prediction(A, "isa", ("Concept", "C9999999"), 1.0, 1),
        "1 of 4 predicted entities are not in the graph: Concept C9999999",
    ),
    (Prediction(("Image", "I1"), "POSITIVE", A, 1.0, 1), "not in the graph: Image I1"),
    (Prediction(("Thing", "Gene:\x1b[2Jx"), "isa", A, 1.0, 1), r"Thing \(unprintable key\)"),
    (Prediction(("Concept", "C1'}) DETACH DELETE n //"), "isa", A, 1.0, 1), "are not in the graph"),
    (Prediction(("Concept", "\ud800"), "isa", A, 1.0, 1), "key must be text"),
    (Prediction(("Run", "x"), "isa", A, 1.0, 1), "prediction 2: its ends must be of Image"),
    (Prediction(A, "isa", B, float("nan"), 1), "prediction 2: the score is not finite"),
    (Prediction(A, "isa", B, float("-inf"), 1), "prediction 2: the score is not finite"),
    (Prediction(A, "isa", B, 10**400, 1), "must be a number"),
    (Prediction(A, "isa", B, "much", 1), "must be a number"),  # type: ignore[arg-type]
    (Prediction(A, "isa", B, 1.0, 1.5), "whole number"),  # type: ignore[arg-type]
    (Prediction(A, "isa", B, 1.0, 0), "ranks begin at 1"),
    (Prediction(A, "isa", B, 1.0, 1 << 63), "ranks begin at 1"),
    (Prediction(IMAGE, "POSITIVE", C, -1.0, 1), "POSITIVE Concept C9900009 is predicted with several scores"),
    *(
        (Prediction(A, relation, B, 1.0, 1), "prediction 2: ")
        for relation in ("a`]->() DETACH DELETE n //", "x\\u0060", "", "a b", "1a", "a" * 101, "PREDICTED", "SHOWS")
    ),
    (Prediction(A, "POSITIVE", B, 1.0, 1), "does not join Concept to Concept"),
    (Prediction(IMAGE, "isa", B, 1.0, 1), "joined by POSITIVE, NEGATIVE or UNCERTAIN"),
]


def test_a_bad_prediction_is_refused_and_nothing_written(scored_medmkg_graph: Graph) -> None:
    digest_before, runs_before = str(digest(scored_medmkg_graph)), runs.list_runs(scored_medmkg_graph)
    for bad_prediction, message in BAD:
        with pytest.raises(InputError, match=message):
            write_some_predictions(scored_medmkg_graph, [SOME[2], bad_prediction])
    assert str(digest(scored_medmkg_graph)) == digest_before
    assert runs.list_runs(scored_medmkg_graph) == runs_before


def test_predictions_of_no_known_model_are_refused(scored_medmkg_graph: Graph) -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({"rows": []}, "no predictions"),
        ({"model": ""}, "printable"),
        ({"model": "a\nb"}, "printable"),
        ({"model": "m" * 201}, "printable"),
        ({"sha": "abc"}, "64 hexadecimal"),
    ]
    for change, message in changes:
        with pytest.raises(InputError, match=message):
            write_some_predictions(scored_medmkg_graph, **change)
    for parameters in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(InputError, match="JSON"):
            write_predictions(scored_medmkg_graph, SOME, model="m", checkpoint_sha256=SHA, parameters=parameters)
    assert predicted(scored_medmkg_graph) == []


def test_a_model_of_any_printable_name_is_only_a_value(scored_medmkg_graph: Graph) -> None:
    model_name = "x'}]->() DETACH DELETE n // ünï `$run`"
    nodes_before = digest(scored_medmkg_graph).nodes
    write_some_predictions(scored_medmkg_graph, SOME[:1], model=model_name)
    assert [prediction["model"] for prediction in predicted(scored_medmkg_graph, model=model_name)] == [model_name]
    assert digest(scored_medmkg_graph).nodes == nodes_before


def test_a_users_own_graph_can_be_predicted_on(graph: Graph, tmp_path: Path) -> None:
    triples_path = tmp_path / "mine.tsv"
    triples_path.write_text(
        "head\thead_type\trelation\ttail\ttail_type\nBRCA1\tgene/protein\tassociated_with\tC0006142\tConcept\n",
        encoding="utf-8",
    )
    ingest(graph, Triples(triples_path))
    gene_node = ("Thing", "GeneProtein:BRCA1")
    write_report = write_some_predictions(
        graph, [Prediction(gene_node, "associated_with", ("Concept", "C0006142"), 1.0, 1)]
    )
    assert write_report.rows.written == 1
    assert predicted(graph)[0]["known"] is True


def test_a_loader_cannot_pass_for_a_model(graph: Graph, tmp_path: Path) -> None:
    handmade_source = Handmade(tmp_path / "f", [GraphBatch(read=1, nodes={A: {}})])
    handmade_source.kind = "prediction"
    with pytest.raises(InputError, match="cannot be called prediction"):
        ingest(graph, handmade_source)
