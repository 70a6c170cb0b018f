"""What an endpoint says of a request that it refuses, without words of the report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_REASON: Final = 200  # characters
MAX_DEPTH: Final = 3  # of objects within the answer

# Words that an endpoint's messages share with reports by chance.
_USUAL: Final = frozenset(
    "a an and any are argument as at be been but by can cannot check content context could does enough error "  # noqa: SIM905
    "exist failed field for found from has have in input invalid is it large less length limit load loaded low "
    "maximum message messages minimum missing model more must no none not number of on one only or please prompt "
    "range request required server should size small support supported than that the there this to too token "
    "tokens try two unable unknown unsupported use used user valid value was were when which with you your".split()
)
_WORD: Final = re.compile(r"[^\W\d_]+|\d{3,}")
_ONE_REPORT: Final = re.compile(r"context|too[ _]long|filter|policy|moderation|safety|max[ _]length", re.IGNORECASE)


def endpoint_reason(body: object, messages: Sequence[Mapping[str, Any]]) -> str:
    """The message of an endpoint's answer, or else its code; empty where it has a word or number of the report."""
    report_words = {
        word.lower() for message in messages if message.get("role") == "user" for word in _words(message.get("content"))
    }
    for text in _texts(body, MAX_DEPTH):
        reason = " ".join(text.split()).rstrip(".")
        words = {word.lower() for word in _words(reason)}
        if words and reason.isprintable() and not (words & report_words) - _USUAL:
            return reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]} …"
    return ""


def is_about_one_report(body: object) -> bool:
    """Whether an endpoint refuses the length or content of this request, so that it may answer others."""
    return any(_ONE_REPORT.search(text) is not None for text in _texts(body, MAX_DEPTH))


def _words(text: object) -> list[str]:
    return _WORD.findall(text) if isinstance(text, str) else []


def _texts(body: object, depth: int) -> list[str]:
    """The texts of an answer, the message first."""
    if isinstance(body, str):
        return [] if body.lstrip().startswith("<") else [body[: 10 * MAX_REASON]]  # a page
    if depth and isinstance(body, list):
        return [text for part in body[:3] for text in _texts(part, depth - 1)]
    if depth and isinstance(body, dict):
        names = ("error", "message", "msg", "detail", "code", "type")
        return [text for name in names if name in body for text in _texts(body[name], depth - 1)]
    return []
