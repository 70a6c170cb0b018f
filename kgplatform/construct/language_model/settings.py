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
        invalid_settings = {
            "model": not self.model or not self.model.isprintable(),
            "url": not _is_url(self.url),
            "temperature": not 0 <= self.temperature <= 2,
            "max_tokens": self.max_tokens < 1,
            "concurrency": not 1 <= self.concurrency <= 256,
            "timeout": not 0 < self.timeout < inf,
            "retries": not 0 <= self.retries <= 100,
            "requests_per_minute": self.requests_per_minute is not None and not 0 < self.requests_per_minute < inf,
        }
        if invalid_names := [setting_name for setting_name, is_invalid in invalid_settings.items() if is_invalid]:
            raise UsageError(f"the language model's {invalid_names[0]} cannot be that", "See docs/language-model.md.")

    @classmethod
    def of(cls, given: Mapping[str, Any], *, remote_consent: bool = False) -> LLMSettings:
        """The settings of a YAML mapping. Consent is not one of them: the user gives it. Raises `UsageError`."""
        field_types = {
            settings_field.name: settings_field.type
            for settings_field in fields(cls)
            if settings_field.name != "remote_consent"
        }
        if unknown_names := sorted(set(given) - set(field_types)):
            hint = did_you_mean(unknown_names[0], field_types, f"Settings: {', '.join(sorted(field_types))}.")
            raise UsageError(f"there is no setting llm.{unknown_names[0]}", hint)
        if not isinstance(given.get("model"), str):
            raise UsageError("llm.model is missing", "Name the model, e.g. llama3.1.")
        for setting_name, value in given.items():
            if not _fits(value, str(field_types[setting_name])):
                raise UsageError(f"llm.{setting_name} has a value of the wrong kind", "See docs/language-model.md.")
        settings = cls(
            **{setting_name: value for setting_name, value in given.items() if setting_name != "cache"},
            remote_consent=remote_consent,
        )
        return replace(settings, cache=Path(given["cache"])) if given.get("cache") else settings


def _is_url(address: str) -> bool:
    """Whether it is an http address, without a password."""
    return (
        host_of(address) is not None
        and urlsplit(address).scheme in ("http", "https")
        and "@" not in urlsplit(address).netloc
    )


def _fits(value: Any, type_text: str) -> bool:
    if value is None:
        return "None" in type_text
    if isinstance(value, bool):
        return type_text == "bool"
    if isinstance(value, int):
        return "int" in type_text or "float" in type_text
    if isinstance(value, float):
        return "float" in type_text
    return isinstance(value, str) and ("str" in type_text or "Path" in type_text)
