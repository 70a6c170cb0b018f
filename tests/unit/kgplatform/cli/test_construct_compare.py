"""`kgp construct compare` as a user calls it, with two scripted models that differ. It needs no Neo4j."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from stat import S_IMODE

import pytest

from kgp_loaders.phantom import study_set
from tests.conftest import CommandResult
from tests.fake_model import FakeModelReply, block, candidates, positive, prompt_report, serving

pytest.importorskip("openai")
MAIN = "from kgplatform.cli import main; main()"
Compare = Callable[..., CommandResult]


@pytest.fixture(scope="module")
def compared_studies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    studies_folder: Path = tmp_path_factory.mktemp("compared") / "studies"
    study_set.build_study_set(studies_folder, 12, 7, images=False)
    return studies_folder


@pytest.fixture
def compare(compared_studies_folder: Path, tmp_path: Path) -> Compare:
    """Runs the command on the studies in a process, with an empty home and no server."""

    def run(*arguments: object) -> CommandResult:
        command = [sys.executable, "-c", MAIN, "construct", "compare", compared_studies_folder, *arguments]
        environment = {**os.environ, "KGP_HOME": str(tmp_path / "home")}
        completed = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        return CommandResult(completed.returncode, completed.stdout, completed.stderr)

    return run


def negative(messages: list[dict[str, str]], before: int) -> FakeModelReply:
    """Says that nothing is there, and does not answer the first report."""
    cuis = dict.fromkeys(candidates(messages))
    return FakeModelReply(block(*((cui, "Negative") for cui in cuis))) if before else FakeModelReply(status=400)


@pytest.mark.slow
def test_two_models_that_differ_are_compared_on_one_page_without_a_graph(compare: Compare, tmp_path: Path) -> None:
    page_path = tmp_path / "page.html"
    with serving(positive) as yes_server, serving(negative) as no_server:
        options = ("--llm", "yes", "--llm", f"no@{no_server.url}", "--llm-url", yes_server.url, "--limit", "5")
        completed = compare(*options, "--out", page_path)
        assert completed.code == 0, completed.err
        assert (len(yes_server.requests), len(no_server.requests)) == (5, 5)
        assert compare(*options, "--out", page_path).code == 1, "the page is there"
        repeated = compare(*options, "--out", page_path, "--force", "--json")
        assert (len(yes_server.requests), len(no_server.requests)) == (5, 6), "answers are stored"
    assert completed.out.startswith("the first 5 reports with findings or an impression: ")
    assert "it contains text of the reports" in completed.out
    assert "no: language model: 5 requests, 0 reports answered earlier, 0 asked again" in completed.out
    assert "1 left to the rules (1: HTTP 400)" in completed.out
    page_text = page_path.read_text(encoding="utf-8")
    assert (S_IMODE(page_path.stat().st_mode), page_text.count("<article")) == (0o600, 5)
    document = repeated.json
    assert [judge["name"] for judge in document["judges"]] == ["rules", "yes", "no"]
    assert {judge["endpoint"] for judge in document["judges"]} == {
        "",
        yes_server.url.split("/")[2],
        no_server.url.split("/")[2],
    }
    [yes_no] = [agreement for agreement in document["agreement"] if agreement["judges"] == ["yes", "no"]]
    assert (yes_no["reports"], yes_no["equal"], yes_no["kappa"]) == (5, 0, 0)
    assert yes_no["differences"] == [{"decisions": ["POSITIVE", "NEGATIVE"], "count": yes_no["mentioned"]}]
    assert document["disputed"] == document["concepts"] == sum(map(len, map(_concepts, document["decisions"])))
    for report in document["decisions"]:
        assert f"study {report['study']}" in page_text
    report_words = prompt_report(yes_server.requests[0])["findings"]
    assert report_words not in json.dumps(document) + completed.out + completed.err


def _concepts(report: dict[str, list[object]]) -> list[object]:
    return report["concepts"]


@pytest.mark.slow
def test_a_silent_model_or_a_remote_one_leaves_no_page(compare: Compare, tmp_path: Path) -> None:
    page_path = tmp_path / "page.html"
    with serving(positive) as server, serving(lambda messages, before: FakeModelReply("Normal.")) as silent_server:
        models = ("--llm", f"good@{server.url}", "--llm", f"silent@{silent_server.url}")
        silent = compare(*models, "--limit", "3", "--out", page_path)
        assert (silent.code, "error: silent: the language model has answered none of 3 reports" in silent.err) == (
            1,
            True,
        ), silent.err
        request_count = len(server.requests)
        remote = compare("--llm", f"other@{server.url}", "--llm", "far@http://192.0.2.1/v1", "--out", page_path)
        assert (remote.code, "--remote-consent" in remote.err) == (2, True), remote.err
        assert len(server.requests) == request_count
    without = compare("--out", page_path)
    assert (without.code, "there is no language model to compare with" in without.err) == (2, True)
    assert not page_path.exists()
