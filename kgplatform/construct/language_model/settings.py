"""Which language model, where, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from kgplatform.construct.language_model.consent import host_of
from kgplatform.errors import UsageError
from kgplatform.suggest import did_you_mean

OLLAMA: Final = "http://127.0.0.1:11434/v1"


@dataclass(frozen=True, slots=True)
class LLMSettings:
    """Settings of a language model. Prices are per million tokens, in the currency that you pay in."""

    model: str
    url: str = OLLAMA
    temperature: float = 0.0
    max_tokens: int = 2_048
    concurrency: int = 4
    timeout: float = 120.0  # seconds
    retries: int = 5  # of a request that met a busy or failing server
    requests_per_minute: float | None = None
    prompt_price: float | None = None
    completion_price: float | None = None
    cache: Path | None = None  # answers; None: in the platform's home
    keep_replies: bool = False  # also keep the replies as they came, which may quote reports
    remote_consent: bool = False  # the user has said that reports may leave this machine

    def __post_init__(self) -> None:
        """Raises `UsageError` for a value that cannot be."""
        wrong = {
            "model": not self.model or not self.model.isprintable(),
            "url": not _is_url(self.url),
            "temperature": not 0 <= self.temperature <= 2,
            "max_tokens": self.max_tokens < 1,
            "concurrency": not 1 <= self.concurrency <= 256,
            "timeout": not 0 < self.timeout < inf,
            "retries": not 0 <= self.retries <= 100,
            "requests_per_minute": self.requests_per_minute is not None and not 0 < self.requests_per_minute < inf,
        }
        if bad := [name for name, is_wrong in wrong.items() if is_wrong]:
            raise UsageError(f"the language model's {bad[0]} cannot be that", "See docs/language-model.md.")

    @classmethod
    def of(cls, given: Mapping[str, Any], *, remote_consent: bool = False) -> LLMSettings:
        """The settings of a YAML mapping. Consent is not one of them: the user gives it. Raises `UsageError`."""
        kinds = {item.name: item.type for item in fields(cls) if item.name != "remote_consent"}
        if unknown := sorted(set(given) - set(kinds)):
            hint = did_you_mean(unknown[0], kinds, f"Settings: {', '.join(sorted(kinds))}.")
            raise UsageError(f"there is no setting llm.{unknown[0]}", hint)
        if not isinstance(given.get("model"), str):
            raise UsageError("llm.model is missing", "Name the model, e.g. llama3.1.")
        for name, value in given.items():
            if not _fits(value, str(kinds[name])):
                raise UsageError(f"llm.{name} has a value of the wrong kind", "See docs/language-model.md.")
        made = cls(**{name: value for name, value in given.items() if name != "cache"}, remote_consent=remote_consent)
        return replace(made, cache=Path(given["cache"])) if given.get("cache") else made


def _is_url(text: str) -> bool:
    """Whether it is an http address, without a password."""
    return host_of(text) is not None and urlsplit(text).scheme in ("http", "https") and "@" not in urlsplit(text).netloc


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return "None" in kind
    if isinstance(value, bool):
        return kind == "bool"
    if isinstance(value, int):
        return "int" in kind or "float" in kind
    if isinstance(value, float):
        return "float" in kind
    return isinstance(value, str) and ("str" in kind or "Path" in kind)
