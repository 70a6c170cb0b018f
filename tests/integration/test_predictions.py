"""Predicted links: written once, taken back, finished after a kill, and never taken for facts."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples
from kgplatform import naf, queries, runs, stats
from kgplatform.batches import GraphBatch
from kgplatform.digest import digest
from kgplatform.errors import InputError, KgpError
from kgplatform.graph import Graph
from kgplatform.ingest import Report, ingest
from kgplatform.predictions import Prediction, write
from kgplatform.queries import parse
from kgplatform.readonly import ask
from kgplatform.settings import Settings
from kgplatform.survey import Account
from tests.integration.sources import Handmade, small_rows, write_medmkg

pytestmark = pytest.mark.server

SHA = "ab" * 32
IMAGE, A, B, C = (
    ("Image", "I10000000"),
    ("Concept", "C9900000"),
    ("Concept", "C9900005"),
    ("Concept", "C9900009"),
)
SOME = [
    Prediction(A, "isa", B, 0.75, 1),
    Prediction(A, "finding_site_of", B, 0.5, 2),
    Prediction(IMAGE, "POSITIVE", C, -3.25, 1),
]
FORGET = parse(
    "t/f", "// Takes a run's record away.\n// param run string: its id\nMATCH (r:Run {id: $run}) DETACH DELETE r"
)
# A process that is killed with SIGKILL after its third batch.
KILLED = """
import os, signal
from kgplatform.graph import Graph
from kgplatform.settings import Settings
from kgplatform import predictions
from tests.integration.test_predictions import SHA, many

def die(done, total):
    if done >= 60:
        os.kill(os.getpid(), signal.SIGKILL)

with Graph.open(Settings.from_env()) as graph:
    predictions.write(graph, many(), model="m", checkpoint_sha256=SHA, parameters={}, batch_rows=20, progress=die)
"""


def many() -> Iterator[Prediction]:
    for i in range(40):
        for j in range(5):
            yield Prediction(("Image", f"I{10_000_000 + i}"), "POSITIVE", ("Concept", f"C99{j:05d}"), i / 7 - j, j + 1)


def predict(graph: Graph, rows: Any = SOME, model: str = "transe", sha: str = SHA, **options: Any) -> Report:
    return write(graph, rows, model=model, checkpoint_sha256=sha, parameters={"top": 10}, **options)


def predicted(graph: Graph, **parameters: Any) -> list[dict[str, Any]]:
    return graph.read(queries.get("predictions/list"), **parameters)


@pytest.fixture
def loaded(graph: Graph, tmp_path: Path) -> Graph:
    """The small graph, scored."""
    ingest(graph, small(tmp_path))
    naf.score(graph)
    return graph


def small(folder: Path) -> MedMKG:
    return MedMKG.find(write_medmkg(folder / "small", small_rows()))


def test_predictions_are_edges_that_say_all_and_a_run(loaded: Graph) -> None:
    report = predict(loaded)
    assert report.rows == Account(3, 3, 0, 0)
    found = {(row["head"], row["relation"], row["tail"]): row for row in predicted(loaded)}
    assert found.keys() == {(p.head[1], p.relation, p.tail[1]) for p in SOME}
    for p in SOME:
        row = found[p.head[1], p.relation, p.tail[1]]
        assert (row["score"], row["rank"], row["model"], row["runs"]) == (p.score, p.rank, "transe", [report.run])
    shown = runs.show(loaded, report.run)
    assert (shown["nodes"], shown["edges"]) == (0, 3)
    record = shown["run"]
    assert {k: record[k] for k in ("kind", "model", "checkpoint_sha256", "status", "rows_read", "rows_written")} == {
        "kind": "prediction",
        "model": "transe",
        "checkpoint_sha256": SHA,
        "status": "done",
        "rows_read": 3,
        "rows_written": 3,
    }
    assert record["parameters"] == '{"top": 10}'
    assert [row["source"] for row in runs.list_runs(loaded) if row["id"] == report.run] == ["transe"]


def test_the_same_predictions_twice_are_one_run_and_change_nothing(loaded: Graph) -> None:
    first = predict(loaded)
    before, record = str(digest(loaded)), runs.show(loaded, first.run)
    again = predict(loaded, [*reversed(SOME), SOME[0]])
    assert again.run == first.run
    assert again.rows == Account(3, 0, 3, 0)
    assert str(digest(loaded)) == before
    assert runs.show(loaded, first.run) == record


def test_other_predictions_are_another_run(loaded: Graph) -> None:
    changes: list[dict[str, Any]] = [
        *({}, {"model": "other"}, {"sha": "cd" * 32}, {"rows": SOME[:2]}),
        {"rows": [*SOME[:2], Prediction(A, "isa", C, 1, 1)]},
    ]
    assert len({predict(loaded, **change).run for change in changes}) == len(changes)


def test_undo_gives_the_graph_back_and_leaves_the_scores_current(loaded: Graph) -> None:
    before = str(digest(loaded))
    report = predict(loaded)
    assert str(digest(loaded)) != before
    assert naf.filter_images(loaded).images == 40
    undone = runs.undo(loaded, report.run)
    assert (undone.edges, undone.nodes) == (3, 0)
    assert str(digest(loaded)) == before
    assert naf.filter_images(loaded).images == 40
    assert predict(loaded).rows == Account(3, 3, 0, 0)


def test_an_undone_load_takes_the_predictions_about_its_nodes_along(graph: Graph, tmp_path: Path) -> None:
    empty = str(digest(graph))
    load = ingest(graph, small(tmp_path))
    report = predict(graph)
    undone = runs.undo(graph, load.run)
    assert (undone.edges, undone.nodes) == (178 + 3, 70)
    assert str(digest(graph)) == empty
    assert runs.undo(graph, report.run).edges == 0
    ingest(graph, small(tmp_path))
    assert predict(graph).rows.written == 3


def test_a_load_that_is_undone_meanwhile_stops_the_writing(graph: Graph, tmp_path: Path) -> None:
    load = ingest(graph, small(tmp_path))

    def undo(done: int, total: int | None) -> None:
        if done == 20:
            runs.undo(graph, load.run)

    def write_many(progress: Any = lambda done, total: None) -> Report:
        return write(graph, many(), model="m", checkpoint_sha256=SHA, parameters={}, batch_rows=20, progress=progress)

    with pytest.raises(InputError, match="taken out of the graph meanwhile"):
        write_many(undo)
    assert predicted(graph) == []
    ingest(graph, small(tmp_path))
    assert write_many().rows == Account(200, 200, 0, 0)
    assert len(predicted(graph, limit=1000)) == 200


def test_runs_that_say_otherwise_keep_their_own_scores(loaded: Graph) -> None:
    first = predict(loaded, SOME[:1])
    same = predict(loaded, SOME[:2])
    other = predict(loaded, [Prediction(A, "isa", B, 0.25, 1)], sha="cd" * 32)
    model = predict(loaded, SOME[:1], model="distmult")
    scores = [(row["model"], row["score"], len(row["runs"])) for row in predicted(loaded, relation="isa")]
    assert sorted(scores) == [("distmult", 0.75, 1), ("transe", 0.25, 1), ("transe", 0.75, 2)]
    runs.undo(loaded, first.run)
    runs.undo(loaded, other.run)
    kept = [(row["model"], row["score"], row["runs"]) for row in predicted(loaded, relation="isa")]
    assert sorted(kept) == [("distmult", 0.75, [model.run]), ("transe", 0.75, [same.run])]


def test_a_killed_process_is_finished_by_the_next(loaded: Graph, settings: Settings) -> None:
    before = str(digest(loaded))
    undisturbed = write(loaded, many(), model="m", checkpoint_sha256=SHA, parameters={})
    wanted = str(digest(loaded))
    runs.undo(loaded, undisturbed.run)
    assert str(digest(loaded)) == before
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=root, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert 60 <= len(predicted(loaded, limit=1000)) < 200
    assert str(digest(loaded)) != wanted
    report = write(loaded, many(), model="m", checkpoint_sha256=SHA, parameters={}, batch_rows=20)
    assert report.resumed_at >= 60
    assert report.run == undisturbed.run
    assert report.rows == Account(200, 200, 0, 0)
    assert str(digest(loaded)) == wanted
    assert runs.show(loaded, report.run)["run"]["rows_written"] == 200


def test_a_half_undone_run_must_be_undone_to_the_end_first(loaded: Graph) -> None:
    report = predict(loaded)
    loaded.write(queries.get("runs/undo_begin"), run=report.run)
    with pytest.raises(KgpError, match="half undone"):
        predict(loaded)
    runs.undo(loaded, report.run)
    assert predict(loaded).rows.written == 3


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


def test_a_bad_prediction_is_refused_and_nothing_written(loaded: Graph) -> None:
    before, recorded = str(digest(loaded)), runs.list_runs(loaded)
    for row, told in BAD:
        with pytest.raises(InputError, match=told):
            predict(loaded, [SOME[2], row])
    assert str(digest(loaded)) == before
    assert runs.list_runs(loaded) == recorded


def test_predictions_of_no_known_model_are_refused(loaded: Graph) -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({"rows": []}, "no predictions"),
        ({"model": ""}, "printable"),
        ({"model": "a\nb"}, "printable"),
        ({"model": "m" * 201}, "printable"),
        ({"sha": "abc"}, "64 hexadecimal"),
    ]
    for change, told in changes:
        with pytest.raises(InputError, match=told):
            predict(loaded, **change)
    for parameters in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(InputError, match="JSON"):
            write(loaded, SOME, model="m", checkpoint_sha256=SHA, parameters=parameters)
    assert predicted(loaded) == []


def test_a_model_of_any_printable_name_is_only_a_value(loaded: Graph) -> None:
    name = "x'}]->() DETACH DELETE n // ünï `$run`"
    before = digest(loaded).nodes
    predict(loaded, SOME[:1], model=name)
    assert [row["model"] for row in predicted(loaded, model=name)] == [name]
    assert digest(loaded).nodes == before


def test_a_users_own_graph_can_be_predicted_on(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(
        "head\thead_type\trelation\ttail\ttail_type\nBRCA1\tgene/protein\tassociated_with\tC0006142\tConcept\n",
        encoding="utf-8",
    )
    ingest(graph, Triples(path))
    gene = ("Thing", "GeneProtein:BRCA1")
    report = predict(graph, [Prediction(gene, "associated_with", ("Concept", "C0006142"), 1.0, 1)])
    assert report.rows.written == 1
    assert predicted(graph)[0]["known"] is True


def test_a_loader_cannot_pass_for_a_model(graph: Graph, tmp_path: Path) -> None:
    source = Handmade(tmp_path / "f", [GraphBatch(read=1, nodes={A: {}})])
    source.kind = "prediction"
    with pytest.raises(InputError, match="cannot be called prediction"):
        ingest(graph, source)


def explore(graph: Graph, name: str, **parameters: Any) -> list[dict[str, Any]]:
    query = queries.get(name)
    with ask(graph, query.text, query.bind(parameters)) as answer:
        return list(answer)


def facts(graph: Graph) -> dict[str, Any]:
    """All that is said of the graph's facts."""
    names = set(queries.names("explore")) - {"explore/predicted_links", "explore/provenance"}
    found: dict[str, Any] = {name: sorted(map(repr, graph.read(queries.get(name)))) for name in names}
    for name in ("isolated_concepts", "one_image_concepts", "section_headers"):
        found[f"all {name}"] = graph.read(queries.get(f"explore/{name}"), limit=10_000)
    figure = graph.read(queries.get("explore/figure3"), names=["no such finding"])
    found["most connected"] = sorted(map(repr, figure))
    audited = set(queries.names("audit")) - {"audit/unfinished_runs"}  # a prediction is a run, too
    found["audit"] = {name: graph.read(queries.get(name)) for name in audited}
    found["stats"] = [stats.overview(graph), stats.hubs(graph, 100), stats.semantic_types(graph), stats.labels(graph)]
    found["naf"] = [naf.explain(graph, "I50978146"), graph.read(queries.get("naf/state"))]
    found["kept"] = graph.read(queries.get("export/kept_edges"))
    return found


@pytest.mark.data
def test_nothing_that_is_said_of_the_facts_changes(medmkg_graph: Graph) -> None:
    graph, chance = medmkg_graph, random.Random(3)
    before, wanted = str(digest(graph)), facts(graph)
    images = [("Image", row["id"]) for row in graph.read(queries.get("naf/top"), limit=300)]
    concepts = [("Concept", row["cui"]) for row in explore(graph, "explore/isolated_concepts", limit=1000)]
    hubs = [("Concept", row["cui"]) for row in stats.hubs(graph, 40)]
    ends = [("Concept", "C0746459"), ("Concept", "C0004144"), ("Concept", "C0577559")]
    rows = [
        *(Prediction(i, "UNCERTAIN", hub, 0.5, 1) for i in images for hub in hubs[6:12]),  # into the first six
        *(Prediction(i, "POSITIVE", chance.choice(concepts), chance.random(), 1) for i in images),
        *(Prediction(i, "NEGATIVE", chance.choice(hubs), chance.random(), 2) for i in images),
        *(Prediction(c, "isa", chance.choice(hubs), chance.random(), 1) for c in concepts),
        *(Prediction(a, "isa", b, 0.5, 1) for a in [*ends, *hubs] for b in ends if a != b),
        *(Prediction(a, "new_relation", b, 0.5, 3) for a in ends for b in hubs),
        Prediction(("Concept", "C0742352"), "new_relation", ends[2], 0.5, 1),  # the other way there is an isa
    ]
    run = predict(graph, {(p.head, p.relation, p.tail): p for p in rows}.values()).run
    try:
        found = facts(graph)
        for name, value in wanted.items():
            assert found[name] == value, name
    finally:
        runs.undo(graph, run)
        graph.write(FORGET, run=run)
    assert str(digest(graph)) == before


@pytest.mark.data
def test_predicted_links_are_drawn_with_the_known_edges_around_them(medmkg_graph: Graph) -> None:
    graph = medmkg_graph
    head, tail, image = ("Concept", "C0746459"), ("Concept", "C0004144"), ("Image", "I50978146")
    rows = [Prediction(head, "isa", tail, 0.5, 1), Prediction(image, "POSITIVE", head, 9.5, 2)]
    assert explore(graph, "explore/predicted_links") == []
    run = predict(graph, rows).run
    try:
        drawn = [row["path"] for row in explore(graph, "explore/predicted_links")]
        types = [edge["type"] for path in drawn for edge in path["relationships"]]
        assert types.count("PREDICTED") == 2
        assert len(set(types)) > 2
        nodes = {node["properties"].get("cui") or node["properties"]["id"] for path in drawn for node in path["nodes"]}
        assert {"C0746459", "C0004144", "I50978146"} < nodes
        one = [row["path"] for row in explore(graph, "explore/predicted_links", relation="POSITIVE", model="transe")]
        predictions = [edge for path in one for edge in path["relationships"] if edge["type"] == "PREDICTED"]
        assert [edge["properties"]["score"] for edge in predictions] == [9.5]
        assert explore(graph, "explore/predicted_links", model="no such model") == []
        told = explore(graph, "explore/provenance", head="C0746459", tail="C0004144")
        assert [(row["relation"], row["predicted"], row["model"]) for row in told] == [("PREDICTED", "isa", "transe")]
    finally:
        runs.undo(graph, run)
        graph.write(FORGET, run=run)
