"""No report leaves this machine unless the command says so: a canary that is no loopback address receives nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kgp_loaders.phantom import study_set
from kgplatform.graph import Graph
from tests.conftest import Kgp
from tests.fake_model import Server, serving

pytestmark = pytest.mark.server


@pytest.fixture
def canary() -> Iterator[Server]:
    with serving() as server:
        yield server


def remote(canary: Server) -> str:
    """The canary's address by a name that is no loopback address, though the system connects to this machine."""
    return canary.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("consent") / "p"
    study_set.build(folder, 2, 7, images=True)
    return folder


def with_settings(folder: Path, llm: str) -> Path:
    path = folder / "construct.yaml"
    text = f"reports: mimic-cxr\npath: .\nlexicon: [ontology]\ngraph_names: false\nown_words: false\nllm: {llm}\n"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_lets_reports_leave(graph: Graph, kgp: Kgp, studies: Path, canary: Server) -> None:
    url = remote(canary)
    file = with_settings(studies, f"{{model: m, url: '{url}', remote_consent: true}}")
    for arguments in ((studies,), (file,), (studies, "--llm", "m", "--llm-url", url)):
        done = kgp("construct", "run", *arguments)
        assert (done.code, "remote_consent is no setting of a file" in done.err) == (1, True), (arguments, done.err)
    with_settings(studies, f"{{model: m, url: '{url}'}}")
    done = kgp("construct", "run", studies, "--remote-consent")
    assert (done.code, "llm.url is another machine" in done.err) == (1, True), done.err
    assert canary.asked == []


def test_a_data_folder_sends_none_of_its_images_or_reports(
    graph: Graph, kgp: Kgp, studies: Path, canary: Server
) -> None:
    with_settings(studies, f"{{model: m, url: '{remote(canary)}', remote_consent: true}}")
    for options in (("--llm", "m"), ("--llm", "m", "--llm-url", remote(canary))):
        done = kgp("generate", "--images", studies, *options)
        assert done.code in (1, 2)
        assert "remote" in done.err
    assert canary.asked == []


def test_with_the_option_a_file_that_the_user_names_is_followed(
    graph: Graph, kgp: Kgp, studies: Path, canary: Server
) -> None:
    file = with_settings(studies, f"{{model: m, url: '{remote(canary)}', cache: answers.sqlite}}")
    refused = kgp("construct", "run", file)
    assert refused.code == 2
    assert "--remote-consent" in refused.err
    assert canary.asked == []
    done = kgp("construct", "run", file, "--remote-consent")
    assert done.code == 0, done.err
    assert canary.asked
