"""Stage II by a language model: concepts and stances as the model says, checked, or else as the rules say."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from kgplatform.construct.judgement import Decision, Judgement, Tagged, Verdict
from kgplatform.construct.language_model import consent, prompt, reply
from kgplatform.construct.language_model.cache import Cache, ModelAnswer
from kgplatform.construct.language_model.client import Client, Refused, Unanswered
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.construct.modality import CHEST_RADIOGRAPH, Exam
from kgplatform.construct.stance import Rules
from kgplatform.schema import Stance
from kgplatform.wording import counted

MAX_UNANSWERED: Final = 10  # first reports without an answer, after which the run stops


@dataclass
class Usage:
    """What the language model did and took. `cost` is None without prices."""

    reports: int = 0
    requests: int = 0
    cached: int = 0  # reports whose answer was in the cache
    asked_again: int = 0
    fell_back: int = 0  # reports that the rules decided
    reasons: dict[str, int] = field(default_factory=dict)  # why the rules decided, with the number of reports
    foreign: int = 0  # concepts that were not candidates
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0

    def summary(self) -> str:
        """In a line."""
        cost_note = "" if self.cost is None else f", cost {self.cost:,.4f}"
        return (
            f"language model: {counted(self.requests, 'requests')}, "
            f"{counted(self.cached, 'reports')} answered earlier, "
            f"{self.asked_again:,} asked again, {self.fell_back:,} left to the rules{self._reasons()}; "
            f"{self.prompt_tokens:,} + {counted(self.completion_tokens, 'tokens')}{cost_note}"
        )

    def _reasons(self) -> str:
        reason_counts = sorted(self.reasons.items(), key=lambda reason_count: -reason_count[1])
        return f" ({', '.join(f'{count:,}: {reason}' for reason, count in reason_counts)})" if reason_counts else ""

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
        consent.check_consent(settings.url, credentialed=credentialed, consent=settings.remote_consent)
        self.name = f"{settings.model} prompt {prompt.HASH}"
        self.model = settings.model
        self.endpoint = urlsplit(settings.url).netloc
        self.concurrency = settings.concurrency
        self.usage = Usage()
        self._settings = settings
        self._rules = rules
        self._cache = cache
        self._client = Client(settings)
        self._lock = threading.Lock()
        self._abandoned_keys: set[str] = set()  # so that a second pass over the reports decides as the first
        self._counted: set[str] = set()  # a load passes over its reports twice
        self._answers = 0
        self._began = time.monotonic()

    def decide(self, sections: Sequence[Tagged]) -> Verdict:
        """What the model says of a report of a chest radiograph; see `decide_for_exam`."""
        return self.decide_for_exam(sections, CHEST_RADIOGRAPH)

    def decide_for_exam(self, sections: Sequence[Tagged], exam: Exam) -> Verdict:
        """What the model says of a report about such a study. Raises `Refused` where the endpoint can answer none."""
        if not any(mentions for _, _, mentions in sections):
            return Verdict(self.name, [])
        question_text = prompt.report_prompt(sections)
        cache_key = self._key(question_text, exam)
        model_answer = self._answer(
            cache_key,
            prompt.task(exam),
            question_text,
            {candidate.cui for _, _, mentions in sections for mention in mentions for candidate in mention.candidates},
        )
        rule_verdict = self._rules.decide(sections)
        if model_answer is None:
            return rule_verdict
        return Verdict(self.name, list(_judged(sections, model_answer.edges, rule_verdict)))

    def close(self) -> None:
        """Close the connection and the answers."""
        self._client.close()
        self._cache.close()

    def _key(self, question_text: str, exam: Exam) -> str:
        decisive_inputs = [
            self._settings.model,
            self._settings.temperature,
            self._settings.max_tokens,
            prompt.task_hash(exam),
            question_text,
        ]
        return hashlib.sha256(json.dumps(decisive_inputs).encode()).hexdigest()

    def _answer(
        self, cache_key: str, task_text: str, question_text: str, candidate_cuis: set[str]
    ) -> ModelAnswer | None:
        """The answer, kept or asked for; None where there is none to be had."""
        cached_answer = self._cache.get(cache_key)
        with self._lock:
            is_first_pass = cache_key not in self._counted
            self._counted.add(cache_key)
            self.usage.reports += is_first_pass
            self.usage.cached += is_first_pass and cached_answer is not None
            is_abandoned = cache_key in self._abandoned_keys
        if cached_answer is not None:
            return cached_answer
        if is_abandoned:
            return None
        try:
            new_answer = self._ask(task_text, question_text, candidate_cuis)
        except (Unanswered, reply.ReplyError) as error:
            self._fall_back(cache_key, str(error))
            return None
        with self._lock:
            self._answers += 1
        self._cache.put(cache_key, new_answer)
        return new_answer

    def _fall_back(self, cache_key: str, reason: str) -> None:
        """Leave a report to the rules. Raises `Refused` where the model has answered none of the first ones."""
        with self._lock:
            self._abandoned_keys.add(cache_key)
            self.usage.fell_back += 1
            self.usage.reasons[reason] = self.usage.reasons.get(reason, 0) + 1
            is_hopeless = not self._answers and not self.usage.cached and self.usage.fell_back >= MAX_UNANSWERED
        if is_hopeless:
            self.require_answers()

    def require_answers(self) -> None:
        """Raise `Refused` where every report so far was left to the rules: that is no construction by this model."""
        usage = self.usage
        if usage.fell_back and usage.fell_back >= usage.reports:
            reports_text = counted(usage.reports, "reports")
            raise Refused(
                f"the language model has answered none of {reports_text}{usage._reasons()}",
                "Check the model, the endpoint and max_tokens, or leave out --llm for this model.",
            )

    def _ask(self, task_text: str, question_text: str, candidate_cuis: set[str]) -> ModelAnswer:
        """Ask, and once more where the answer cannot be read."""
        messages: list[Mapping[str, str]] = [
            {"role": "system", "content": task_text},
            {"role": "user", "content": question_text},
        ]
        token_counts = [0, 0]
        try:
            parsed_reply, reply_text = self._read(messages, candidate_cuis, token_counts)
        except reply.ReplyError as error:
            with self._lock:
                self.usage.asked_again += 1
            retry_message = {"role": "user", "content": prompt.AGAIN.format(reason=error)}
            parsed_reply, reply_text = self._read([*messages, retry_message], candidate_cuis, token_counts)
        with self._lock:
            self.usage.foreign += parsed_reply.foreign
        return ModelAnswer(
            parsed_reply.edges, token_counts[0], token_counts[1], reply_text if self._settings.keep_replies else None
        )

    def _read(
        self, messages: Sequence[Mapping[str, str]], candidate_cuis: set[str], token_counts: list[int]
    ) -> tuple[reply.JudgeReply, str]:
        with self._lock:
            self.usage.requests += 1
        model_reply = self._client.ask(messages)
        with self._lock:
            self._spend(model_reply.prompt_tokens, model_reply.completion_tokens)
        token_counts[0] += model_reply.prompt_tokens
        token_counts[1] += model_reply.completion_tokens
        return reply.read_reply(model_reply.text, candidate_cuis), model_reply.text

    def _spend(self, prompt_tokens: int, completion_tokens: int) -> None:
        usage, token_prices = self.usage, (self._settings.prompt_price, self._settings.completion_price)
        usage.prompt_tokens += prompt_tokens
        usage.completion_tokens += completion_tokens
        usage.seconds = time.monotonic() - self._began
        if token_prices != (None, None):
            usage.cost = (
                usage.prompt_tokens * (token_prices[0] or 0) + usage.completion_tokens * (token_prices[1] or 0)
            ) / 1e6


def _judged(
    sections: Sequence[Tagged], edges: Sequence[tuple[str, Stance]], rule_verdict: Verdict
) -> Iterator[Judgement]:
    """The model's edges, each with the mentions that stand behind it.

    A mention is the first of its candidates that the model chose. Where the model gives a concept two stances, a
    mention has the one that the rules give it; a stance that no mention has so is put to all mentions of the concept.
    """
    stances_by_cui: dict[str, list[Stance]] = {}
    for cui, stance in edges:
        stances_by_cui.setdefault(cui, []).append(stance)
    rule_decisions = {
        (judgement.section, judgement.mention.start): judgement.decision for judgement in rule_verdict.judgements
    }
    mentions_by_cui: dict[str, list[tuple[str, Any]]] = {}
    used_edges = set()
    model_judgements = []
    for section, _, mentions in sections:
        for mention in mentions:
            candidate_index = next(
                (index for index, candidate in enumerate(mention.candidates) if candidate.cui in stances_by_cui), None
            )
            for candidate in mention.candidates:
                if candidate.cui in stances_by_cui:
                    mentions_by_cui.setdefault(candidate.cui, []).append((section, mention))
            if candidate_index is None:
                continue
            cui, decision = mention.candidates[candidate_index].cui, rule_decisions.get((section, mention.start))
            rule_stance = None if decision is None else decision.stance
            stance = rule_stance if rule_stance in stances_by_cui[cui] else stances_by_cui[cui][0]
            cue = decision.cue if decision is not None and rule_stance is stance else None
            used_edges.add((cui, stance))
            model_judgements.append(Judgement(section, mention, Decision(stance, cue, candidate_index)))
    for cui, stance in edges:
        if (cui, stance) not in used_edges:
            for section, mention in mentions_by_cui[cui]:
                candidate_index = next(
                    index for index, candidate in enumerate(mention.candidates) if candidate.cui == cui
                )
                model_judgements.append(Judgement(section, mention, Decision(stance, None, candidate_index)))
    yield from model_judgements
