"""Which language model, where, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidatorFunctionWrapHandler, WrapValidator

from kgplatform.construct.language_model.consent import url_host
from kgplatform.errors import InputError, UsageError
from kgplatform.yaml_settings import (
    Flag,
    FromYAML,
    NeverInFile,
    Text,
    parse_settings,
    setting_error,
)

OLLAMA: Final = "http://127.0.0.1:11434/v1"


def _as_written(value: float, validate: ValidatorFunctionWrapHandler) -> float:
    """The number unchanged: in the key of a stored answer, a temperature of 0 is not one of 0.0."""
    validate(value)
    return value


def _path(value: object) -> Path | None:
    if not isinstance(value, str | None) or "\0" in (value or ""):
        raise setting_error("must be the path of a file or folder")
    return Path(value) if value else None


Number = Annotated[float, Field(strict=True, allow_inf_nan=False), WrapValidator(_as_written)]  # see `__post_init__`
WholeNumber = Annotated[int, Field(strict=True)]


@dataclass(frozen=True, slots=True)
class LLMSettings(FromYAML):
    """Settings of a language model. Prices are per million tokens, in the currency that you pay in."""

    model: Text
    """The model's name, e.g. llama3.1."""
    url: Text = OLLAMA
    """Where an API of OpenAI's form is; by default Ollama on this machine."""
    temperature: Number = 0.0
    """0 to 2."""
    max_tokens: WholeNumber = 2_048
    """Of an answer."""
    concurrency: WholeNumber = 4
    """Requests at a time, 1 to 256."""
    timeout: Number = 120.0
    """Seconds."""
    retries: WholeNumber = 5
    """Of a request that met a busy or failing server, 0 to 100."""
    requests_per_minute: Number | None = None
    prompt_price: Number | None = None
    completion_price: Number | None = None
    cache: Annotated[Path | None, BeforeValidator(_path)] = None
    """The file of answers; by default in the platform's home."""
    keep_replies: Flag = False
    """Also keep the replies as they came, which may quote reports."""
    remote_consent: NeverInFile[bool] = False
    """The user has said that reports may leave this machine."""

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
            raise UsageError(
                f"the language model's setting {invalid_names[0]} has an invalid value", "See docs/language-model.md."
            )

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, remote_consent: bool = False) -> LLMSettings:
        """The settings of a YAML mapping. Consent is not one of them: the user gives it. Raises `UsageError`."""
        try:
            settings = parse_settings(cls, document, "See docs/language-model.md.", prefix="llm.")
        except InputError as error:
            raise UsageError(error.message, error.hint) from None
        return replace(settings, remote_consent=remote_consent)


def _is_url(address: str) -> bool:
    """Whether it is an http address, without a password."""
    return (
        url_host(address) is not None
        and urlsplit(address).scheme in ("http", "https")
        and "@" not in urlsplit(address).netloc
    )
