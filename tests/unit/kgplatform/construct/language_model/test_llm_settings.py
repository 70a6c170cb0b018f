"""A language model's settings, and consent to send reports to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgplatform.construct.annotate import annotate
from kgplatform.construct.language_model.cache import Cache
from kgplatform.construct.language_model.client import Client
from kgplatform.construct.language_model.consent import is_local
from kgplatform.construct.language_model.judge import LLMJudge
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.construct.stance import rules
from kgplatform.errors import UsageError
from tests import quick_retries as retries
from tests.fake_model import FakeModelReply, serving
from tests.quick_retries import SECRET

pytest.importorskip("openai")
from tests.unit.kgplatform.construct.language_model.language_model_judges import TAGGER, a_report, judging

quick_retries = retries.quick_retries


class TestConsent:
    """Reports leave this machine only when the user says so."""

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]:8/v1", "http://127.9.9.9/v1"]
    )
    def test_this_machine_is_local(self, url: str) -> None:
        assert is_local(url)

    @pytest.mark.parametrize("url", ["http://[::1].evil.com/v1", "http://[::1", "http://[127.0.0.1]/v1", "", "[::1]"])
    def test_what_is_no_address_is_not_local(self, url: str) -> None:
        assert not is_local(url)

    @pytest.mark.parametrize(
        "url",
        ["https://api.openai.com/v1", "http://127.0.0.1.evil.com/v1", "http://localhost.evil.com", "http://192.168.0.2/v1",
         "http://0.0.0.0/v1", "http://2130706433/v1"],
    )  # fmt: skip
    @pytest.mark.parametrize("credentialed", [True, False])
    def test_elsewhere_is_refused_without_consent(self, tmp_path: Path, url: str, credentialed: bool) -> None:
        assert not is_local(url)
        with pytest.raises(UsageError, match="leave this machine") as raised:
            LLMJudge(LLMSettings("m", url), rules(), Cache(tmp_path / "a.sqlite"), credentialed=credentialed)
        assert ("PhysioNet" in raised.value.hint) == credentialed
        LLMJudge(LLMSettings("m", url, remote_consent=True), rules(), Cache(tmp_path / "a.sqlite")).close()

    def test_no_proxy_carries_a_report_away(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with serving(lambda messages, before: FakeModelReply(status=500)) as proxy, serving() as server:
            for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(variable, proxy.url.removesuffix("/v1"))
            for variable in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(variable, raising=False)
            with judging(server, tmp_path) as judge:
                annotate(a_report(), TAGGER, judge)
            assert (len(server.requests), len(proxy.requests)) == (1, 0)

    @pytest.mark.parametrize(
        ("env", "sent"), [({"OPENAI_API_KEY": SECRET}, "Bearer none"), ({"KGP_LLM_API_KEY": "mine"}, "Bearer mine")]
    )
    def test_openais_key_goes_to_openai_alone(self, env: dict[str, str], sent: str) -> None:
        with serving(lambda messages, before: FakeModelReply("x")) as server:
            client = Client(LLMSettings("m", server.url), env)
            client.ask([{"role": "user", "content": "x"}])
            client.close()
            assert server.keys == [sent]


@pytest.mark.parametrize(
    "wrong",
    [{"model": ""}, {"url": "ftp://x"}, {"url": "http://user:pw@127.0.0.1/v1"}, {"temperature": 3.0}, {"max_tokens": 0},
     {"concurrency": 0}, {"timeout": 0.0}, {"retries": -1}, {"requests_per_minute": 0.0},
     {"timeout": float("nan")}, {"requests_per_minute": float("nan")}, {"url": "http://[::1"},
     {"url": "http://[127.0.0.1]/v1"}, {"url": "http://127.0.0.1:99999/v1"}, {"url": "http://[::1].evil.com/v1"}],
)  # fmt: skip
def test_language_model_settings_outside_their_range_are_wrong_usage(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        LLMSettings(**{"model": "m", **wrong})


def test_settings_of_yaml_are_checked() -> None:
    llm_settings = LLMSettings.from_document({"model": "m", "temperature": 0, "cache": "c.sqlite", "prompt_price": 2})
    assert llm_settings == LLMSettings("m", temperature=0, cache=Path("c.sqlite"), prompt_price=2)
    wrong_mappings: list[dict[str, Any]] = [
        {},
        {"model": 3},
        {"model": "m", "colour": 1},
        {"model": "m", "retries": "many"},
        {"model": "m", "remote_consent": 1},
    ]
    for mapping in wrong_mappings:
        with pytest.raises(UsageError, match="llm"):
            LLMSettings.from_document(mapping)
