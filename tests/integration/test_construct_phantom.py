"""Construction of the synthetic studies on a real graph: from the folder alone, by one process or many, by a model."""

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
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from tests.conftest import Kgp
from tests.fake_model import FakeModelReply, block, candidates, prompt_report, serving

pytestmark = pytest.mark.server

STUDIES = 60
MAIN = "from kgplatform.cli import main; main()"
EDGES = parse_query(
    "t/e", "// All.\nMATCH (a)-[r]->(b) RETURN coalesce(a.id, a.cui) AS h, type(r) AS r, b.cui AS t ORDER BY h, r, t"
)
ALL = parse_query(
    "t/a",
    "// All but times.\nMATCH (a)-[r]->(b) RETURN properties(a) AS a, type(r) AS t, properties(r) AS r, "
    "properties(b) AS b ORDER BY coalesce(a.id, a.cui), t, b.cui",
)
EVIDENCE = parse_query(
    "t/v", "// Evidence.\nMATCH (:Image)-[r]->() RETURN r.evidence AS e, r.judge AS j, r.tagger AS t"
)


@pytest.fixture(scope="module")
def phantom_reports_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    studies_folder: Path = tmp_path_factory.mktemp("studies") / "p"
    study_set.build_study_set(studies_folder, STUDIES, 7, images=False)
    return studies_folder


def _true_edges(folder: Path) -> set[tuple[str, str, str]]:
    with (folder / "truth" / "edges.csv").open(newline="", encoding="utf-8") as edges_file:
        return {(edge_row["Head"], edge_row["Relation"], edge_row["Tail"]) for edge_row in csv.DictReader(edges_file)}


def _graph_edges(graph: Graph) -> set[tuple[str, str, str]]:
    return {(edge_row["h"], edge_row["r"], edge_row["t"]) for edge_row in graph.read(EDGES)}


def by_truth(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """What a model that knows the truth answers, by a report's text."""
    stances: dict[str, list[tuple[str, str]]] = {}
    for image_name, relation, concept in sorted(_true_edges(folder)):
        stances.setdefault(image_name, []).append((concept, relation.capitalize()))
    from kgp_loaders.mimic_cxr import MIMICCXR
    from kgplatform.construct.report import Report

    answers = {}
    for report_row in MIMICCXR(folder).reports():
        if isinstance(report_row, Report):
            answers[json.dumps(report_row.sections, sort_keys=True)] = stances.get(report_row.image_id, [])
    return answers


def test_one_folder_becomes_a_scored_and_filtered_graph_with_evidence(
    graph: Graph, kgp: Kgp, phantom_reports_folder: Path
) -> None:
    completed = kgp("construct", "run", phantom_reports_folder)
    assert completed.code == 0, completed.err
    graph_edges, true_edges = _graph_edges(graph), _true_edges(phantom_reports_folder)
    image_edges = {edge for edge in graph_edges if edge[0].startswith("I")}
    assert len(image_edges & true_edges) > 0.9 * max(
        len(image_edges), len({edge for edge in true_edges if edge[0].startswith("I")})
    )
    assert {edge for edge in graph_edges if edge[0].startswith("C")}
    assert not any(head == tail for head, _, tail in graph_edges)
    for evidence_row in graph.read(EVIDENCE):
        assert evidence_row["e"]
        assert evidence_row["j"].startswith("rules ")
        assert evidence_row["t"].startswith("dictionary")
    assert "images scored" in completed.out
    filtered = kgp("naf", "filter", "--json").json
    assert 0 < filtered["kept"] <= filtered["images"] <= STUDIES


def test_processes_and_ray_write_what_one_process_writes(graph: Graph, kgp: Kgp, phantom_reports_folder: Path) -> None:
    graph_states = []
    for options in ((), ("--workers", "2"), ("--ray", "--workers", "2")):
        completed = kgp("construct", "run", phantom_reports_folder, *options, "--json")
        assert completed.code == 0, completed.err
        graph_states.append([dict(edge_row) for edge_row in graph.read(ALL)])
        assert kgp("runs", "undo", completed.json["run"]).code == 0
        assert _graph_edges(graph) == set()
    assert graph_states[0] == graph_states[1] == graph_states[2]
    assert len(graph_states[0]) > 200


def test_a_model_that_answers_by_the_truth_gives_the_true_graph_exactly(
    graph: Graph, kgp: Kgp, phantom_reports_folder: Path, tmp_path: Path
) -> None:
    answers = by_truth(phantom_reports_folder)

    def answer(messages: list[dict[str, str]], earlier_count: int) -> FakeModelReply:
        true_stances = answers[json.dumps(prompt_report(messages), sort_keys=True)]
        return FakeModelReply(block(*true_stances, ("C0000001", "Positive"), (candidates(messages)[0], "Neutral")))

    with serving(answer) as server:
        completed = kgp(
            "construct", "run", phantom_reports_folder, "--llm", "truthful", "--llm-url", server.url, "--json"
        )
        request_count = len(server.requests)
    assert completed.code == 0, completed.err
    assert _graph_edges(graph) == _true_edges(phantom_reports_folder)
    usage = completed.json["language_model"]
    assert (usage["requests"], usage["fell_back"], usage["asked_again"]) == (request_count, 0, 0)
    assert usage["prompt_tokens"] == 100 * request_count
    assert {row["j"].split(" ")[0] for row in graph.read(EVIDENCE)} == {"truthful"}


def test_a_killed_run_goes_on_and_asks_nothing_twice(
    graph: Graph, kgp: Kgp, phantom_reports_folder: Path, settings: Settings
) -> None:
    def slow(messages: list[dict[str, str]], earlier: int) -> FakeModelReply:
        return FakeModelReply(
            block(*((concept_cui, "Positive") for concept_cui in dict.fromkeys(candidates(messages)))), wait=0.1
        )

    with serving(slow) as server:
        model_options = ("--llm", "slow", "--llm-url", server.url, "--llm-concurrency", "2")
        command = [sys.executable, "-c", MAIN, "construct", "run", str(phantom_reports_folder), *model_options]
        process = subprocess.Popen(
            command, env={**os.environ, "KGP_HOME": str(settings.home)}, stdout=subprocess.DEVNULL
        )
        while len(server.requests) < 12:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.3)
        earlier = [json.dumps(messages) for messages in server.requests]
        completed = kgp("construct", "run", phantom_reports_folder, "--llm", "slow", "--llm-url", server.url, "--json")
        assert completed.code == 0, completed.err
        requests_after = [json.dumps(messages) for messages in server.requests[len(earlier) :]]
    repeated = set(earlier) & set(requests_after)
    assert len(repeated) <= 2  # those under way as it was killed
    assert completed.json["language_model"]["cached"] == len(earlier) - len(repeated)


def test_a_run_whose_model_answers_no_report_is_an_error_and_no_word_of_a_report_gets_out(
    graph: Graph, kgp: Kgp, phantom_reports_folder: Path, settings: Settings
) -> None:
    with serving(lambda messages, earlier_count: FakeModelReply(f"I read: {prompt_report(messages)}")) as server:
        completed = kgp("construct", "run", phantom_reports_folder, "--llm", "chatty", "--llm-url", server.url)
    assert completed.code == 1
    assert "the language model has answered none of" in completed.err
    assert "there is no ***start***" in completed.err
    assert not _graph_edges(graph), "nothing is written"
    cache_bytes = b"".join(cache_path.read_bytes() for cache_path in settings.home.glob("language_model.sqlite*"))
    for output_text in (completed.out, completed.err, cache_bytes.decode("latin-1")):
        assert "effusion" not in output_text
        assert "I read" not in output_text


def test_a_construction_that_was_killed_goes_on_to_the_same_graph(
    graph: Graph, kgp: Kgp, settings: Settings, tmp_path: Path
) -> None:
    study_set.build_study_set(tmp_path / "many", 3_500, 7, images=False)
    command = [sys.executable, "-c", MAIN, "construct", "run", str(tmp_path / "many")]
    count_query = parse_query("t/n", "// Edges.\nMATCH ()-[r]->() RETURN count(r) AS n")
    process = subprocess.Popen(command, env={**os.environ, "KGP_HOME": str(settings.home)}, stdout=subprocess.DEVNULL)
    while graph.read(count_query)[0]["n"] == 0:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert graph.read(count_query)[0]["n"] > 0
    completed = kgp("construct", "run", tmp_path / "many", "--json")
    assert completed.code == 0, completed.err
    digest_after_kill = str(digest(graph))
    assert kgp("runs", "undo", completed.json["run"]).code == 0
    assert kgp("construct", "run", tmp_path / "many").code == 0
    assert str(digest(graph)) == digest_after_kill
    repeated = kgp("construct", "run", tmp_path / "many", "--json").json
    assert repeated["written"] == 0


def test_reports_do_not_leave_this_machine_without_consent(
    graph: Graph, kgp: Kgp, phantom_reports_folder: Path
) -> None:
    completed = kgp("construct", "run", phantom_reports_folder, "--llm", "m", "--llm-url", "https://llm.example.com/v1")
    assert completed.code == 2
    assert "the reports would leave this machine, to llm.example.com" in completed.err
    assert "--remote-consent" in completed.err
    assert _graph_edges(graph) == set()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["."], 1, "there are no construction settings here"),
        (["a", "b", "c"], 2, "the kind of reports and their path are missing"),
        (["FOLDER", "--tagger", "nobody"], 2, "no tagger called nobody"),
        (["FOLDER", "--keep", "missing.csv"], 1, "missing.csv: no such file"),
        (["FOLDER", "--llm", "m", "--llm-url", "nonsense"], 2, "the language model's setting url has an invalid value"),
    ],
)
def test_wrong_construct_arguments_for_phantom_are_a_single_clear_line(
    graph: Graph, kgp: Kgp, phantom_reports_folder: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    folder_paths = {"FOLDER": str(phantom_reports_folder), ".": str(tmp_path)}
    completed = kgp("construct", "run", *(folder_paths.get(argument, argument) for argument in arguments))
    assert completed.code == code
    assert message in completed.err
    assert "Traceback" not in completed.err


def test_a_language_model_that_does_not_answer_is_an_error_and_nothing_is_written(
    graph: Graph, kgp: Kgp, phantom_reports_folder: Path, tmp_path: Path
) -> None:
    settings_path = tmp_path / "construct.yaml"
    settings_path.write_text(
        f"reports: mimic-cxr\npath: {phantom_reports_folder}\nlexicon: [{phantom_reports_folder / 'ontology'}]\n"
        "llm: {model: m, url: 'http://127.0.0.1:9/v1', retries: 1}\n",
        encoding="utf-8",
    )
    completed = kgp("construct", "run", settings_path)
    assert completed.code == 1
    assert "there is no language model at 127.0.0.1:9: connection refused" in completed.err
    assert _graph_edges(graph) == set()


def test_a_selection_is_made_and_used(graph: Graph, kgp: Kgp, phantom_reports_folder: Path, tmp_path: Path) -> None:
    selection_run = kgp(
        "construct", "select", phantom_reports_folder, "--out", tmp_path / "s.csv", "--eps", "0.9", "--json"
    )
    assert selection_run.code == 0, selection_run.err
    selection = selection_run.json
    assert 0 < selection["kept"] < selection["with_text"] <= selection["reports"]
    assert "effusion" not in (tmp_path / "s.csv").read_text(encoding="utf-8")
    construction = kgp("construct", "run", phantom_reports_folder, "--keep", tmp_path / "s.csv")
    assert construction.code == 0, construction.err
    assert 0 < len({head for head, _, _ in _graph_edges(graph) if head.startswith("I")}) <= selection["kept"]
