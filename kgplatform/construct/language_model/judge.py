"""Stage II by a language model: concepts and stances as the model says, checked, or else as the rules say."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kgplatform.construct.annotate import Judgement, Tagged, Verdict
from kgplatform.construct.language_model import consent, prompt, reply
from kgplatform.construct.language_model.cache import Answer, Cache
from kgplatform.construct.language_model.client import Client, Unanswered
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.construct.stance import Decision, Rules
from kgplatform.schema import Stance
from kgplatform.wording import counted


@dataclass
class Usage:
    """What the language model did and took. `cost` is None without prices."""

    reports: int = 0
    requests: int = 0
    cached: int = 0  # reports whose answer was kept from earlier
    asked_again: int = 0
    fell_back: int = 0  # reports that the rules decided
    foreign: int = 0  # concepts that were no candidates
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0

    def told(self) -> str:
        """In a line."""
        cost = "" if self.cost is None else f", cost {self.cost:,.4f}"
        return (
            f"language model: {counted(self.requests, 'requests')}, "
            f"{counted(self.cached, 'reports')} answered earlier, "
            f"{self.asked_again:,} asked again, {self.fell_back:,} left to the rules; "
            f"{self.prompt_tokens:,} + {counted(self.completion_tokens, 'tokens')}{cost}"
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class LLMJudge:
    """Asks a language model about each report that has a mention; a `kgplatform.construct.annotate.Judge`.

    An answer that cannot be read is asked for once more; after that, and where the endpoint does not answer, the
    rules decide that report, and its edges say so. Raises `UsageError` where reports would leave this machine without
    consent.
    """

    def __init__(self, settings: LLMSettings, rules: Rules, cache: Cache, *, credentialed: bool = True) -> None:
        consent.check(settings.url, credentialed=credentialed, consent=settings.remote_consent)
        self.name = f"{settings.model} prompt {prompt.HASH}"
        self.concurrency = settings.concurrency
        self.usage = Usage()
        self._settings = settings
        self._rules = rules
        self._cache = cache
        self._client = Client(settings)
        self._lock = threading.Lock()
        self._given_up: set[str] = set()  # so that a second pass over the reports decides as the first
        self._counted: set[str] = set()  # a load passes over its reports twice
        self._began = time.monotonic()

    def decide(self, sections: Sequence[Tagged]) -> Verdict:
        """What the model says of a report. Raises `Refused` where the endpoint can answer none."""
        if not any(mentions for _, _, mentions in sections):
            return Verdict(self.name, [])
        asked = prompt.question(sections)
        key = self._key(asked)
        answer = self._answer(key, asked, {one.cui for _, _, found in sections for m in found for one in m.candidates})
        ruled = self._rules.decide(sections)
        if answer is None:
            return ruled
        return Verdict(self.name, list(_judged(sections, answer.edges, ruled)))

    def close(self) -> None:
        """Close the connection and the answers."""
        self._client.close()
        self._cache.close()

    def _key(self, asked: str) -> str:
        decisive = [self._settings.model, self._settings.temperature, self._settings.max_tokens, prompt.HASH, asked]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()

    def _answer(self, key: str, asked: str, candidates: set[str]) -> Answer | None:
        """The answer, kept or asked for; None where there is none to be had."""
        kept = self._cache.get(key)
        with self._lock:
            first = key not in self._counted
            self._counted.add(key)
            self.usage.reports += first
            self.usage.cached += first and kept is not None
            given_up = key in self._given_up
        if kept is not None:
            return kept
        if given_up:
            return None
        try:
            answer = self._ask(asked, candidates)
        except (Unanswered, reply.ReplyError):
            with self._lock:
                self._given_up.add(key)
                self.usage.fell_back += 1
            return None
        self._cache.put(key, answer)
        return answer

    def _ask(self, asked: str, candidates: set[str]) -> Answer:
        """Ask, and once more where the answer cannot be read."""
        messages: list[Mapping[str, str]] = [
            {"role": "system", "content": prompt.TASK},
            {"role": "user", "content": asked},
        ]
        spent = [0, 0]
        try:
            found, text = self._read(messages, candidates, spent)
        except reply.ReplyError as error:
            with self._lock:
                self.usage.asked_again += 1
            again = {"role": "user", "content": prompt.AGAIN.format(reason=error)}
            found, text = self._read([*messages, again], candidates, spent)
        with self._lock:
            self.usage.foreign += found.foreign
        return Answer(found.edges, spent[0], spent[1], text if self._settings.keep_replies else None)

    def _read(
        self, messages: Sequence[Mapping[str, str]], candidates: set[str], spent: list[int]
    ) -> tuple[reply.Reply, str]:
        with self._lock:
            self.usage.requests += 1
        said = self._client.ask(messages)
        with self._lock:
            self._spend(said.prompt_tokens, said.completion_tokens)
        spent[0] += said.prompt_tokens
        spent[1] += said.completion_tokens
        return reply.read(said.text, candidates), said.text

    def _spend(self, prompt_tokens: int, completion_tokens: int) -> None:
        usage, prices = self.usage, (self._settings.prompt_price, self._settings.completion_price)
        usage.prompt_tokens += prompt_tokens
        usage.completion_tokens += completion_tokens
        usage.seconds = time.monotonic() - self._began
        if prices != (None, None):
            usage.cost = (usage.prompt_tokens * (prices[0] or 0) + usage.completion_tokens * (prices[1] or 0)) / 1e6


def _judged(sections: Sequence[Tagged], edges: Sequence[tuple[str, Stance]], ruled: Verdict) -> Iterator[Judgement]:
    """The model's edges, each with the mentions that stand behind it.

    A mention is the first of its candidates that the model chose. Where the model gives a concept two stances, a
    mention has the one that the rules give it; a stance that no mention has so is put to all mentions of the concept.
    """
    stances: dict[str, list[Stance]] = {}
    for cui, stance in edges:
        stances.setdefault(cui, []).append(stance)
    by_rules = {(one.section, one.mention.start): one.decision for one in ruled.judgements}
    mentioned: dict[str, list[tuple[str, Any]]] = {}
    used = set()
    found = []
    for section, _, mentions in sections:
        for mention in mentions:
            place = next((n for n, one in enumerate(mention.candidates) if one.cui in stances), None)
            for one in mention.candidates:
                if one.cui in stances:
                    mentioned.setdefault(one.cui, []).append((section, mention))
            if place is None:
                continue
            cui, decision = mention.candidates[place].cui, by_rules.get((section, mention.start))
            ruling = None if decision is None else decision.stance
            stance = ruling if ruling in stances[cui] else stances[cui][0]
            cue = decision.cue if decision is not None and ruling is stance else None
            used.add((cui, stance))
            found.append(Judgement(section, mention, Decision(stance, cue, place)))
    for cui, stance in edges:
        if (cui, stance) not in used:
            for section, mention in mentioned[cui]:
                place = next(n for n, one in enumerate(mention.candidates) if one.cui == cui)
                found.append(Judgement(section, mention, Decision(stance, None, place)))
    yield from found
