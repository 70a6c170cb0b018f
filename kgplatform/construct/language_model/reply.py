"""Reads a model's answer strictly: only candidates, only the three stances, nothing that is not understood.

***start***
(C0032285, Negative), (C0018800, Positive)
***end***

A model's thinking before the answer does not count. Of several blocks, between marks or as code, the last complete one
counts. Bullets, numbers, a code fence, the concept's name between CUI and stance, JSON's or Python's brackets and
quotes, and missing marks around nothing but entries do no harm.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection
from typing import Final, NamedTuple

from kgplatform.schema import Stance
from kgplatform.thinking import without_thinking

MAX_REPLY: Final = 200_000  # characters; the longest correct one has about 3,000

_START: Final = re.compile(r"(?:\\?\*){2,3}[ \t]*start[ \t]*(?:\\?\*){2,3}:?", re.IGNORECASE)
_END: Final = re.compile(r"(?:\\?\*){2,3}[ \t]*end[ \t]*(?:\\?\*){2,3}", re.IGNORECASE)
_ENTRY: Final = re.compile(
    r"[(\[]\s{0,9}[\"'*`]{0,3}(C[0-9]{7})[\"'*`]{0,3}\s{0,9},(?:[^(),\[\]\n]{1,120},)?"
    r"\s{0,9}[\"'*`]{0,3}([A-Za-z]{1,20})[\"'*`]{0,3}\s{0,9}[)\]]",
    re.IGNORECASE,
)
_JSON_NAME: Final = r"\s{0,9}\"\w{1,20}\"\s{0,9}:\s{0,9}"
_OBJECT: Final = re.compile(
    rf"\{{{_JSON_NAME}\"(C[0-9]{{7}})\"\s{{0,9}},(?:{_JSON_NAME}\"[^\"\n]{{0,120}}\"\s{{0,9}},)?"
    rf"{_JSON_NAME}\"([A-Za-z]{{1,20}})\"\s{{0,9}}\}}",
    re.IGNORECASE,
)
_CODE_BLOCK: Final = re.compile(r"`{3}[a-z]{0,10}[ ]*\n(.*?)`{3}", re.IGNORECASE | re.DOTALL)
# What may be between entries: marks, bullets, numbers, code fences.
_BETWEEN: Final = re.compile(r"(?:[\s,;.*•·–\\\[\]-]++|\d{1,3}[.)]|`{3}[a-z]{0,10}+)*+", re.IGNORECASE)
_NONE: Final = re.compile(r"[\s(\[*`-]*(?:none|no concepts?|nothing|n/a|empty)[\s)\].*`-]*", re.IGNORECASE)
_STANCES: Final = {stance.value.lower(): stance for stance in Stance}


class ReplyError(ValueError):
    """An answer that cannot be read; the reason quotes nothing of it."""


class JudgeReply(NamedTuple):
    """What an answer says: (concept, stance) in its order, each once; and what was left out of it."""

    edges: tuple[tuple[str, Stance], ...]
    neutral: int = 0
    foreign: int = 0  # concepts that were not candidates
    ended: bool = True  # whether the end mark was there


def read_reply(text: str, candidates: Collection[str]) -> JudgeReply:
    """The answer in a model's text. Raises `ReplyError` where it has none that can be read."""
    if len(text) > MAX_REPLY:
        raise ReplyError("it is too long")
    entry_block, is_complete = _block(_OBJECT.sub(r"(\1, \2)", without_thinking(text)))
    if _NONE.fullmatch(entry_block):
        return JudgeReply((), ended=is_complete)
    edges: dict[tuple[str, Stance], None] = {}
    neutral_count = foreign_count = position = 0
    for entry in _ENTRY.finditer(entry_block):
        _understood(entry_block[position : entry.start()])
        position = entry.end()
        cui, relation = entry[1].upper(), entry[2].lower()
        if relation == "neutral":
            neutral_count += 1
        elif relation not in _STANCES:
            raise ReplyError("an entry has another relation than Positive, Negative or Uncertain")
        elif cui not in candidates:
            foreign_count += 1
        else:
            edges[cui, _STANCES[relation]] = None
    remainder = entry_block[position:]
    if not is_complete and remainder.lstrip(" \t\r\n,;.").startswith("(") and ")" not in remainder:
        remainder = ""  # cut off within an entry
    _understood(remainder)
    return JudgeReply(tuple(edges), neutral_count, foreign_count, is_complete)


read = read_reply  # its name in version 0.1


def _block(answer: str) -> tuple[str, bool]:
    """The last complete block of entries, or what follows the last start mark; and whether it has its end mark. Without
    marks the whole answer is the block, if it has an entry. Raises `ReplyError` where there is none.
    """
    if not answer.strip():
        raise ReplyError("it has no answer: it is empty, or was cut off before one")
    end_marks = list(_END.finditer(answer))
    start_marks = list(_START.finditer(answer))
    end_positions = [end_mark.start() for end_mark in end_marks]
    for start_mark in reversed(start_marks):
        end_number = bisect_left(end_positions, start_mark.end())
        if end_number < len(end_positions):
            return answer[start_mark.end() : end_positions[end_number]], True
    if start_marks:
        return answer[start_marks[-1].end() :], False
    if _ENTRY.search(answer) is None:
        raise ReplyError("there is no ***start***")
    code_blocks = [code_block[1] for code_block in _CODE_BLOCK.finditer(answer) if _ENTRY.search(code_block[1])]
    return code_blocks[-1] if code_blocks else answer, True


def _understood(separator: str) -> None:
    if _BETWEEN.fullmatch(separator) is None:
        raise ReplyError("there is text between the entries that is not an entry")
