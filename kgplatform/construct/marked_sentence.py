"""Example sentences with marked findings: [the finding that it is about] and <others>."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kgplatform.construct.tagger import Candidate, Mention

_MARKED: Final = re.compile(r"(\[[^\]]+\]|<[^>]+>)")


class MarkedSentence(NamedTuple):
    """The plain text, its mentions, and which of them the sentence is about."""

    text: str
    mentions: list[Mention]
    is_subject: list[bool]


def parse_marked(sentence: str) -> MarkedSentence:
    """The sentence without its marks, and a mention for each."""
    text = ""
    mentions: list[Mention] = []
    is_subject: list[bool] = []
    for part in _MARKED.split(sentence):
        if part[:1] in ("[", "<"):
            phrase = part[1:-1]
            candidate = Candidate(f"C{len(mentions):07}", phrase, 1.0)
            mentions.append(Mention(len(text), len(text) + len(phrase), (candidate,)))
            is_subject.append(part[0] == "[")
            text += phrase
        else:
            text += part
    return MarkedSentence(text, mentions, is_subject)
