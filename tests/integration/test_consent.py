"""No report leaves this machine unless the command says so: a canary that is no loopback address receives nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kgp_loaders.phantom import study_set
from kgplatform.graph import Graph
from tests.conftest import Kgp
from tests.fake_model import FakeModelServer, serving

pytestmark = pytest.mark.server


@pytest.fixture
def canary_model_server() -> Iterator[FakeModelServer]:
    with serving() as server:
        yield server


def remote(canary: FakeModelServer) -> str:
    """The canary's address by a name that is no loopback address, though the system connects to this machine."""
    return canary.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104


@pytest.fixture(scope="module")
def consent_studies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    studies_folder = tmp_path_factory.mktemp("consent") / "p"
    study_set.build_study_set(studies_folder, 2, 7, images=True)
    return studies_folder


def with_settings(folder: Path, llm: str) -> Path:
    settings_path = folder / "construct.yaml"
    settings_text = (
        f"reports: mimic-cxr\npath: .\nlexicon: [ontology]\ngraph_names: false\nown_words: false\nllm: {llm}\n"
    )
    settings_path.write_text(settings_text, encoding="utf-8")
    return settings_path


def test_no_file_lets_reports_leave(
    graph: Graph, kgp: Kgp, consent_studies_folder: Path, canary_model_server: FakeModelServer
) -> None:
    remote_url = remote(canary_model_server)
    settings_file = with_settings(consent_studies_folder, f"{{model: m, url: '{remote_url}', remote_consent: true}}")
    for arguments in (
        (consent_studies_folder,),
        (settings_file,),
        (consent_studies_folder, "--llm", "m", "--llm-url", remote_url),
    ):
        completed = kgp("construct", "run", *arguments)
        assert (completed.code, "remote_consent cannot be set in a file" in completed.err) == (1, True), (
            arguments,
            completed.err,
        )
    with_settings(consent_studies_folder, f"{{model: m, url: '{remote_url}'}}")
    completed = kgp("construct", "run", consent_studies_folder, "--remote-consent")
    assert (completed.code, "llm.url is another machine" in completed.err) == (1, True), completed.err
    assert canary_model_server.requests == []


def test_a_data_folder_sends_none_of_its_images_or_reports(
    graph: Graph, kgp: Kgp, consent_studies_folder: Path, canary_model_server: FakeModelServer
) -> None:
    with_settings(consent_studies_folder, f"{{model: m, url: '{remote(canary_model_server)}', remote_consent: true}}")
    for options in (("--llm", "m"), ("--llm", "m", "--llm-url", remote(canary_model_server))):
        completed = kgp("generate", "--images", consent_studies_folder, *options)
        assert completed.code in (1, 2)
        assert "remote" in completed.err
    assert canary_model_server.requests == []


def test_with_the_option_a_file_that_the_user_names_is_followed(
    graph: Graph, kgp: Kgp, consent_studies_folder: Path, canary_model_server: FakeModelServer
) -> None:
    settings_file = with_settings(
        consent_studies_folder, f"{{model: m, url: '{remote(canary_model_server)}', cache: answers.sqlite}}"
    )
    refused_run = kgp("construct", "run", settings_file)
    assert refused_run.code == 2
    assert "--remote-consent" in refused_run.err
    assert canary_model_server.requests == []
    completed = kgp("construct", "run", settings_file, "--remote-consent")
    assert completed.code == 0, completed.err
    assert canary_model_server.requests
