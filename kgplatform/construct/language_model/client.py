"""Asks an endpoint that speaks OpenAI's chat API, through the `openai` package."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from kgplatform.construct.language_model.consent import is_local
from kgplatform.construct.language_model.event_loop import EventLoop
from kgplatform.construct.language_model.refusal import endpoint_reason, is_about_one_report
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.errors import KgpError
from kgplatform.extras import missing

OPENAI_HOST: Final = "api.openai.com"
MAX_TOKENS: Final = 1_000_000_000  # of one answer; more is not a plausible count
MAX_REFUSALS: Final = 3  # of the first requests: one alone may be about its report
MAX_UNREACHED: Final = 10  # unanswered requests in a row, after which the endpoint counts as unreachable


class Completion(NamedTuple):
    """A reply, and its tokens as the endpoint counts them (0 where it does not)."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class Unanswered(Exception):
    """The endpoint did not answer one request; `why` is a word or two of our own."""

    def __init__(self, why: str, *, unreachable: bool) -> None:
        super().__init__(why)
        self.why = why
        self.unreachable = unreachable


class Refused(KgpError):
    """The endpoint refuses all requests of this kind: the key, the model or the address is wrong."""

    kind = "language_model"


class Client:
    """A connection to the endpoint, for several threads. Raises `SettingsError` where openai is not installed.

    The key comes from KGP_LLM_API_KEY; OPENAI_API_KEY goes to OpenAI alone. For an endpoint on this machine proxies are
    not used, and redirects are followed for none: both could carry a report away.
    """

    def __init__(self, settings: LLMSettings, env: Mapping[str, str] | None = None) -> None:
        try:
            import openai
        except ImportError:
            raise missing("openai", "llm") from None

        from kgplatform.construct.language_model.bounded import BadAnswer, Bounded, NeverReached

        self._settings = settings
        self._openai = openai
        self._bad_answer, self._never_reached = BadAnswer, NeverReached
        self._next = 0.0
        self._lock = threading.Lock()
        self._answered = False
        self._unreached = 0  # requests in a row
        self._refusals = 0  # of the first requests, with a status that all may meet
        logging.getLogger("openai").setLevel(logging.WARNING)  # at DEBUG it logs the requests
        request_timeout = openai.Timeout(settings.timeout, connect=min(10.0, settings.timeout))
        self._http = Bounded(
            settings.timeout,
            timeout=request_timeout,
            follow_redirects=False,
            trust_env=not is_local(settings.url),
            headers={"Accept-Encoding": "identity"},  # so that the limit on received bytes limits memory
        )
        self._client = openai.AsyncOpenAI(
            api_key=_key(settings.url, os.environ if env is None else env),
            base_url=settings.url,
            max_retries=settings.retries,
            timeout=request_timeout,
            http_client=self._http,
        )
        self._loop = EventLoop("language model")  # its thread waits for all answers

    def ask(self, messages: Sequence[Any]) -> Completion:
        """The reply to a conversation, messages of role and content.

        Raises `Unanswered` for this one, `Refused` where no request can succeed or the endpoint seems to be gone.
        """
        self._wait()
        try:
            reply = self._completion(messages)
        except Unanswered as error:
            if error.unreachable:
                self._note_unreached(error.why)
            raise
        with self._lock:
            self._answered, self._unreached = True, 0
        return reply

    def _completion(self, messages: Sequence[Any]) -> Completion:
        openai = self._openai
        try:
            completion = self._loop.call(partial(self._answer, messages))
            reply_text = completion.choices[0].message.content or ""
            token_counts = _count(completion.usage, "prompt_tokens"), _count(completion.usage, "completion_tokens")
        except openai.APITimeoutError:
            raise Unanswered("no answer in time", unreachable=True) from None
        except openai.APIConnectionError:
            raise Unanswered("no connection", unreachable=True) from None
        except self._never_reached as error:
            raise Refused(
                f"there is no language model at {urlsplit(self._settings.url).netloc}: {error.why}",
                "Start it, or check its URL.",
            ) from None
        except self._bad_answer as error:
            raise Unanswered(error.why, unreachable=False) from None
        except openai.APIStatusError as error:
            raise self._status(error.status_code, error.body, messages) from None
        except (openai.OpenAIError, AttributeError, TypeError, ValueError, LookupError, RecursionError):
            raise Unanswered("the answer does not follow the API", unreachable=False) from None
        if not isinstance(reply_text, str):
            raise Unanswered("the answer does not follow the API", unreachable=False)
        return Completion(reply_text, *token_counts)

    async def _answer(self, messages: Sequence[Any]) -> Any:
        return await self._client.chat.completions.create(
            model=self._settings.model,
            messages=messages,
            temperature=self._settings.temperature,
            max_tokens=self._settings.max_tokens,
        )

    def close(self) -> None:
        """Close the connection; answers that are still awaited will not come."""
        self._loop.close(self._http.aclose)

    def _note_unreached(self, reason: str) -> None:
        """Count it. Raises `Refused` where it was one too many."""
        with self._lock:
            self._unreached += 1
            if self._unreached >= MAX_UNREACHED:
                hint = "Start it, or check its URL; what is done is kept, and the same command goes on from there."
                raise Refused(f"the language model does not answer ({reason})", hint) from None

    def _status(self, status_code: int, body: object, messages: Sequence[Any]) -> Exception:
        """What a status means: `Refused` where all reports would meet it."""
        endpoint_host = urlsplit(self._settings.url).netloc
        reason = endpoint_reason(body, messages)
        status = f"(HTTP {status_code}{f': {reason}' if reason else ''})"
        if status_code in (401, 403):
            return Refused(f"{endpoint_host} refuses the key {status}", "Set KGP_LLM_API_KEY.")
        if status_code in (404, 405):
            return Refused(
                f"{endpoint_host} has no such model or address {status}", "Check the model's name and the URL."
            )
        if status_code == 402 or (status_code == 429 and "quota" in reason):
            return Refused(f"{endpoint_host} asks for payment {status}", "Check the account.")
        if 300 <= status_code < 400:
            return Refused(f"{endpoint_host} redirects elsewhere {status}", "Give the endpoint's own URL.")
        is_client_error = 400 <= status_code < 500 and status_code not in (408, 409, 413, 425, 429)
        if is_client_error and not self._answered and not is_about_one_report(body):
            with self._lock:
                self._refusals += 1
            if self._refusals >= MAX_REFUSALS:
                hint = "Check the settings of the language model: see docs/language-model.md."
                return Refused(f"{endpoint_host} refuses the first {MAX_REFUSALS} requests {status}", hint)
        return Unanswered(f"HTTP {status_code}", unreachable=status_code == 429 or status_code >= 500)

    def _wait(self) -> None:
        """Keep to the rate limit: requests of all threads are evenly apart."""
        if self._settings.requests_per_minute is None:
            return
        with self._lock:
            current_time = time.monotonic()
            send_time = max(current_time, self._next)
            self._next = send_time + 60 / self._settings.requests_per_minute
        time.sleep(send_time - current_time)


def _count(usage: object, field_name: str) -> int:
    """Tokens as the endpoint counts them; 0 for what is no count."""
    token_count = getattr(usage, field_name, None)
    return token_count if type(token_count) is int and 0 <= token_count <= MAX_TOKENS else 0


def _key(url: str, environment: Mapping[str, str]) -> str:
    if api_key := environment.get("KGP_LLM_API_KEY"):
        return api_key
    if urlsplit(url).hostname == OPENAI_HOST and (api_key := environment.get("OPENAI_API_KEY")):
        return api_key
    return "none"  # servers on one's own machine ask for no key
