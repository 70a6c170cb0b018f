"""Construction of the invented studies on a real graph: from the folder alone, by one process or many, by a model."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kgp_loaders.phantom import study_set
from kgplatform.digest import digest
from kgplatform.graph import Graph
from kgplatform.queries import parse
from kgplatform.settings import Settings
from tests.conftest import Kgp
from tests.fake_model import Reply, block, candidates, report, serving

pytestmark = pytest.mark.server

STUDIES = 60
MAIN = "from kgplatform.cli import main; main()"
EDGES = parse(
    "t/e", "// All.\nMATCH (a)-[r]->(b) RETURN coalesce(a.id, a.cui) AS h, type(r) AS r, b.cui AS t ORDER BY h, r, t"
)
ALL = parse(
    "t/a",
    "// All but times.\nMATCH (a)-[r]->(b) RETURN properties(a) AS a, type(r) AS t, properties(r) AS r, "
    "properties(b) AS b ORDER BY coalesce(a.id, a.cui), t, b.cui",
)
EVIDENCE = parse("t/v", "// Evidence.\nMATCH (:Image)-[r]->() RETURN r.evidence AS e, r.judge AS j, r.tagger AS t")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("studies") / "p"
    study_set.build(made, STUDIES, 7, images=False)
    return made


def truth(folder: Path) -> set[tuple[str, str, str]]:
    with (folder / "truth" / "edges.csv").open(newline="", encoding="utf-8") as file:
        return {(row["Head"], row["Relation"], row["Tail"]) for row in csv.DictReader(file)}


def edges(graph: Graph) -> set[tuple[str, str, str]]:
    return {(row["h"], row["r"], row["t"]) for row in graph.read(EDGES)}


def by_truth(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """What a model that knows the truth answers, by a report's text."""
    stances: dict[str, list[tuple[str, str]]] = {}
    for image, relation, concept in sorted(truth(folder)):
        stances.setdefault(image, []).append((concept, relation.capitalize()))
    from kgp_loaders.mimic_cxr import MIMICCXR
    from kgplatform.construct.report import Report

    found = {}
    for row in MIMICCXR(folder).reports():
        if isinstance(row, Report):
            found[json.dumps(row.sections, sort_keys=True)] = stances.get(row.image_id, [])
    return found


def test_one_folder_becomes_a_scored_and_filtered_graph_with_evidence(graph: Graph, kgp: Kgp, folder: Path) -> None:
    done = kgp("construct", "run", folder)
    assert done.code == 0, done.err
    found, true = edges(graph), truth(folder)
    crossed = {edge for edge in found if edge[0].startswith("I")}
    assert len(crossed & true) > 0.9 * max(len(crossed), len({edge for edge in true if edge[0].startswith("I")}))
    assert {edge for edge in found if edge[0].startswith("C")}
    assert not any(head == tail for head, _, tail in found)
    for row in graph.read(EVIDENCE):
        assert row["e"]
        assert row["j"].startswith("rules ")
        assert row["t"].startswith("dictionary")
    assert "images scored" in done.out
    kept = kgp("naf", "filter", "--json").json
    assert 0 < kept["kept"] <= kept["images"] <= STUDIES


def test_processes_and_ray_write_what_one_process_writes(graph: Graph, kgp: Kgp, folder: Path) -> None:
    graphs = []
    for options in ((), ("--workers", "2"), ("--ray", "--workers", "2")):
        done = kgp("construct", "run", folder, *options, "--json")
        assert done.code == 0, done.err
        graphs.append([dict(row) for row in graph.read(ALL)])
        assert kgp("runs", "undo", done.json["run"]).code == 0
        assert edges(graph) == set()
    assert graphs[0] == graphs[1] == graphs[2]
    assert len(graphs[0]) > 200


def test_a_model_that_answers_by_the_truth_gives_the_true_graph_exactly(
    graph: Graph, kgp: Kgp, folder: Path, tmp_path: Path
) -> None:
    answers = by_truth(folder)

    def answer(messages: list[dict[str, str]], before: int) -> Reply:
        known = answers[json.dumps(report(messages), sort_keys=True)]
        return Reply(block(*known, ("C0000001", "Positive"), (candidates(messages)[0], "Neutral")))

    with serving(answer) as server:
        done = kgp("construct", "run", folder, "--llm", "truthful", "--llm-url", server.url, "--json")
        asked = len(server.asked)
    assert done.code == 0, done.err
    assert edges(graph) == truth(folder)
    usage = done.json["language_model"]
    assert (usage["requests"], usage["fell_back"], usage["asked_again"]) == (asked, 0, 0)
    assert usage["prompt_tokens"] == 100 * asked
    assert {row["j"].split(" ")[0] for row in graph.read(EVIDENCE)} == {"truthful"}


def test_a_killed_run_goes_on_and_asks_nothing_twice(graph: Graph, kgp: Kgp, folder: Path, settings: Settings) -> None:
    def slow(messages: list[dict[str, str]], before: int) -> Reply:
        return Reply(block(*((cui, "Positive") for cui in dict.fromkeys(candidates(messages)))), wait=0.1)

    with serving(slow) as server:
        model = ("--llm", "slow", "--llm-url", server.url, "--llm-concurrency", "2")
        command = [sys.executable, "-c", MAIN, "construct", "run", str(folder), *model]
        process = subprocess.Popen(
            command, env={**os.environ, "KGP_HOME": str(settings.home)}, stdout=subprocess.DEVNULL
        )
        while len(server.asked) < 12:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.3)
        before = [json.dumps(messages) for messages in server.asked]
        done = kgp("construct", "run", folder, "--llm", "slow", "--llm-url", server.url, "--json")
        assert done.code == 0, done.err
        after = [json.dumps(messages) for messages in server.asked[len(before) :]]
    again = set(before) & set(after)
    assert len(again) <= 2  # those under way as it was killed
    assert done.json["language_model"]["cached"] == len(before) - len(again)


def test_a_model_that_talks_garbage_leaves_all_to_the_rules_and_no_word_of_a_report_gets_out(
    graph: Graph, kgp: Kgp, folder: Path, settings: Settings
) -> None:
    assert kgp("construct", "run", folder).code == 0
    by_rules = edges(graph)
    graph.run_unmanaged(parse("t/w", "// Empty.\nMATCH (n) DETACH DELETE n"))
    with serving(lambda messages, before: Reply(f"I read: {report(messages)}")) as server:
        done = kgp("construct", "run", folder, "--llm", "chatty", "--llm-url", server.url)
    assert done.code == 0, done.err
    assert edges(graph) == by_rules
    assert "0 reports answered earlier" in done.out
    kept = b"".join(path.read_bytes() for path in settings.home.glob("language_model.sqlite*"))
    for place in (done.out, done.err, kept.decode("latin-1")):
        assert "effusion" not in place
        assert "I read" not in place


def test_a_construction_that_was_killed_goes_on_to_the_same_graph(
    graph: Graph, kgp: Kgp, settings: Settings, tmp_path: Path
) -> None:
    study_set.build(tmp_path / "many", 6_000, 7, images=False)
    command = [sys.executable, "-c", MAIN, "construct", "run", str(tmp_path / "many")]
    count = parse("t/n", "// Edges.\nMATCH ()-[r]->() RETURN count(r) AS n")
    process = subprocess.Popen(command, env={**os.environ, "KGP_HOME": str(settings.home)}, stdout=subprocess.DEVNULL)
    while graph.read(count)[0]["n"] == 0:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert graph.read(count)[0]["n"] > 0
    done = kgp("construct", "run", tmp_path / "many", "--json")
    assert done.code == 0, done.err
    after_a_kill = str(digest(graph))
    assert kgp("runs", "undo", done.json["run"]).code == 0
    assert kgp("construct", "run", tmp_path / "many").code == 0
    assert str(digest(graph)) == after_a_kill
    again = kgp("construct", "run", tmp_path / "many", "--json").json
    assert again["written"] == 0


def test_reports_do_not_leave_this_machine_without_consent(graph: Graph, kgp: Kgp, folder: Path) -> None:
    done = kgp("construct", "run", folder, "--llm", "m", "--llm-url", "https://llm.example.com/v1")
    assert done.code == 2
    assert "the reports would leave this machine, to llm.example.com" in done.err
    assert "--remote-consent" in done.err
    assert edges(graph) == set()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["."], 1, "there are no settings of a construction here"),
        (["a", "b", "c"], 2, "say what the reports are and where"),
        (["FOLDER", "--tagger", "nobody"], 2, "no tagger called nobody"),
        (["FOLDER", "--keep", "missing.csv"], 1, "missing.csv: no such file"),
        (["FOLDER", "--llm", "m", "--llm-url", "nonsense"], 2, "url cannot be that"),
        (["FOLDER", "--llm", "m", "--llm-url", "http://127.0.0.1:9/v1"], 1, "does not answer"),
    ],
)
def test_wrong_usage_is_one_clear_line(
    graph: Graph, kgp: Kgp, folder: Path, tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    places = {"FOLDER": str(folder), ".": str(tmp_path)}
    done = kgp("construct", "run", *(places.get(argument, argument) for argument in arguments))
    assert done.code == code
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_selection_is_made_and_used(graph: Graph, kgp: Kgp, folder: Path, tmp_path: Path) -> None:
    done = kgp("construct", "select", folder, "--out", tmp_path / "s.csv", "--eps", "0.9", "--json")
    assert done.code == 0, done.err
    told = done.json
    assert 0 < told["kept"] < told["with_text"] <= told["reports"]
    assert "effusion" not in (tmp_path / "s.csv").read_text(encoding="utf-8")
    kept = kgp("construct", "run", folder, "--keep", tmp_path / "s.csv")
    assert kept.code == 0, kept.err
    assert 0 < len({head for head, _, _ in edges(graph) if head.startswith("I")}) <= told["kept"]
