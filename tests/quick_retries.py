"""The package openai without the waits between its retries, with a key that must show nowhere."""

from __future__ import annotations

import pytest

SECRET = "sk-canary-key"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.002)
    monkeypatch.setenv("KGP_LLM_API_KEY", SECRET)
